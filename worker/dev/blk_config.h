/*
 * The block device's face to the guest: features and config space (virtio 1.3, 5.2.3, 5.2.4).
 */
#pragma once

#include "blk.h"

/* The features to offer out of those that config and policy allow. */
uint64_t blk_features(const struct ipc_device *device);

/* Fills the config space; returns its size, bytes. */
uint32_t blk_config_fill(const struct ipc_device *device, uint8_t config[VU_CONFIG_MAX]);

/* The disk has a new size, bytes. */
void blk_config_resize(uint8_t config[VU_CONFIG_MAX], uint64_t capacity);

/*
 * The guest writes n bytes at an offset. Only `writeback` may change, others may be written as they are;
 * *ret_writeback is its value now. -EINVAL: something else would change.
 */
int blk_config_write(uint8_t config[VU_CONFIG_MAX], uint32_t offset, const uint8_t *bytes, uint32_t n,
                     bool *ret_writeback);
