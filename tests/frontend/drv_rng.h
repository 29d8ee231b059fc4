/*
 * An entropy driver (virtio 1.3, 5.4).
 */
#pragma once

#include "drv_vring.h"

/* Asks for n bytes into a buffer of guest memory; *ret_got: how many came, 1..n, else -EBADMSG. */
int drv_rng_read(struct drv_vring *v, const struct fe_buf *buf, uint32_t n, uint32_t *ret_got);
