/*
 * Judging block requests. Numbers are compared before they are added.
 */
#include "blk_order.h"

static bool inside(const struct blk_limits *limits, uint64_t sector, uint64_t bytes)
{
        uint64_t sectors = limits->capacity / VIRTIO_BLK_SECTOR;

        return sector <= sectors && bytes <= limits->capacity - sector * VIRTIO_BLK_SECTOR;
}

static bool in_blocks(const struct blk_limits *limits, uint64_t sector, uint64_t bytes)
{
        return sector * VIRTIO_BLK_SECTOR % limits->block_size == 0 && bytes % limits->block_size == 0;
}

static uint8_t judge_data(const struct blk_limits *limits, uint64_t sector, uint64_t bytes, struct blk_order *order)
{
        if (!inside(limits, sector, bytes) || !in_blocks(limits, sector, bytes))
                return VIRTIO_BLK_S_IOERR;
        order->offset = sector * VIRTIO_BLK_SECTOR;
        return VIRTIO_BLK_S_OK;
}

/* Drivers ask for zeroes that take no room whatever write_zeroes_may_unmap says; it is a wish (virtio 1.3, 5.2.6). */
static uint8_t judge_range(const struct blk_limits *limits, uint32_t type, const struct virtio_blk_range *segment,
                           struct blk_range *ret_range)
{
        uint64_t sector = le64toh(segment->sector);
        uint32_t sectors = le32toh(segment->sectors), flags = le32toh(segment->flags);
        uint64_t bytes = (uint64_t) sectors * VIRTIO_BLK_SECTOR;

        if (flags & ~(type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_ZEROES_F_UNMAP : 0u))
                return VIRTIO_BLK_S_UNSUPP;
        if (sectors > BLK_RANGE_SECTORS_MAX || !inside(limits, sector, bytes) || !in_blocks(limits, sector, bytes))
                return VIRTIO_BLK_S_IOERR;
        *ret_range = (struct blk_range){ sector * VIRTIO_BLK_SECTOR, bytes,
                                         type == VIRTIO_BLK_T_DISCARD ||
                                                 (flags & VIRTIO_BLK_ZEROES_F_UNMAP && limits->discard) };
        return VIRTIO_BLK_S_OK;
}

static uint8_t judge_ranges(const struct blk_limits *limits, struct chain *chain, struct blk_order *order)
{
        uint64_t n = chain->out.left / sizeof(struct virtio_blk_range);

        if (n == 0 || n > BLK_RANGES_MAX || chain->out.left % sizeof(struct virtio_blk_range))
                return VIRTIO_BLK_S_IOERR;
        for (order->n_ranges = 0; order->n_ranges < n; order->n_ranges++) {
                struct virtio_blk_range segment;
                uint8_t status;

                if (chain_get(&chain->out, &segment, sizeof(segment)) < 0)
                        return VIRTIO_BLK_S_IOERR;
                status = judge_range(limits, order->type, &segment, &order->range[order->n_ranges]);
                if (status != VIRTIO_BLK_S_OK)
                        return status;
        }
        return VIRTIO_BLK_S_OK;
}

/* Read-only first: it holds whether the driver has acked it or not. */
static uint8_t judge_change(const struct blk_limits *limits, bool offered, struct chain *chain,
                            struct blk_order *order)
{
        if (limits->read_only)
                return VIRTIO_BLK_S_IOERR;
        return offered ? judge_ranges(limits, chain, order) : VIRTIO_BLK_S_UNSUPP;
}

uint8_t blk_judge(const struct blk_limits *limits, struct chain *chain, struct blk_order *ret_order)
{
        struct virtio_blk_header header;
        uint64_t sector;

        ret_order->type = BLK_NO_TYPE;
        if (chain_get(&chain->out, &header, sizeof(header)) < 0)
                return VIRTIO_BLK_S_IOERR;
        ret_order->type = le32toh(header.type);
        sector = le64toh(header.sector);
        switch (ret_order->type) {
        case VIRTIO_BLK_T_IN:
                return judge_data(limits, sector, chain->in.left, ret_order);
        case VIRTIO_BLK_T_OUT:
                return limits->read_only ? VIRTIO_BLK_S_IOERR
                                         : judge_data(limits, sector, chain->out.left, ret_order);
        case VIRTIO_BLK_T_FLUSH:
        case VIRTIO_BLK_T_FLUSH_OUT:
        case VIRTIO_BLK_T_GET_ID:
                return VIRTIO_BLK_S_OK;
        case VIRTIO_BLK_T_DISCARD:
                return judge_change(limits, limits->discard, chain, ret_order);
        case VIRTIO_BLK_T_WRITE_ZEROES:
                return judge_change(limits, limits->write_zeroes, chain, ret_order);
        default:
                return VIRTIO_BLK_S_UNSUPP;
        }
}
