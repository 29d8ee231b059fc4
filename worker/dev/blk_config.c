/*
 * Features and config space of a block device.
 */
#include "blk_config.h"

#include "policy.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { SEG_MAX = 126 }; /* what a ring of 128, the common default, can hold beside header and status */

/* A request must fit into the largest ring that the operator allows, whether the driver has indirect tables or not. */
static uint32_t seg_max(uint32_t queue_size)
{
        if (queue_size >= SEG_MAX + 2)
                return SEG_MAX;
        return queue_size > 3 ? queue_size - 2 : 1;
}

uint64_t blk_features(const struct ipc_device *device)
{
        const struct ipc_block *block = &device->block;
        uint64_t features = policy_block.features & device->features;

        if (!block->read_only)
                features &= ~VIRTIO_BIT(VIRTIO_BLK_F_RO);
        if (block->read_only || !block->discard)
                features &= ~VIRTIO_BIT(VIRTIO_BLK_F_DISCARD);
        if (block->read_only)
                features &= ~VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
        if (device->queues < 2)
                features &= ~VIRTIO_BIT(VIRTIO_BLK_F_MQ);
        return features;
}

static void fill_ranges(struct virtio_blk_config *config, const struct ipc_block *block)
{
        if (block->read_only)
                return;
        if (block->discard) {
                config->max_discard_sectors = htole32(BLK_RANGE_SECTORS_MAX);
                config->max_discard_seg = htole32(BLK_RANGES_MAX);
                config->discard_sector_alignment = htole32(block->block_size / VIRTIO_BLK_SECTOR);
                config->write_zeroes_may_unmap = 1;
        }
        config->max_write_zeroes_sectors = htole32(BLK_RANGE_SECTORS_MAX);
        config->max_write_zeroes_seg = htole32(BLK_RANGES_MAX);
}

uint32_t blk_config_fill(const struct ipc_device *device, uint8_t bytes[VU_CONFIG_MAX])
{
        const struct ipc_block *block = &device->block;
        struct virtio_blk_config config = {
                .capacity = htole64(block->capacity / VIRTIO_BLK_SECTOR),
                .seg_max = htole32(seg_max(device->queue_size)),
                .blk_size = htole32(block->block_size),
                .physical_block_exp = (uint8_t) __builtin_ctz(block->physical_size / block->block_size),
                .min_io_size = htole16((uint16_t) (block->physical_size / block->block_size)),
                .opt_io_size = htole32(block->optimal_io / block->block_size),
                .writeback = 1,
                .num_queues = htole16((uint16_t) device->queues),
        };

        fill_ranges(&config, block);
        memset(bytes, 0, VU_CONFIG_MAX);
        memcpy(bytes, &config, sizeof(config));
        return sizeof(config);
}

void blk_config_resize(uint8_t config[VU_CONFIG_MAX], uint64_t capacity)
{
        const le64 sectors = htole64(capacity / VIRTIO_BLK_SECTOR);

        memcpy(config + offsetof(struct virtio_blk_config, capacity), &sectors, sizeof(sectors));
}

int blk_config_write(uint8_t config[VU_CONFIG_MAX], uint32_t offset, const uint8_t *bytes, uint32_t n,
                     bool *ret_writeback)
{
        enum { WRITEBACK = offsetof(struct virtio_blk_config, writeback) };

        for (uint32_t i = 0; i < n; i++)
                if (offset + i == WRITEBACK ? bytes[i] > 1 : bytes[i] != config[offset + i])
                        return -EINVAL;
        memcpy(config + offset, bytes, n);
        *ret_writeback = config[WRITEBACK];
        return 0;
}
