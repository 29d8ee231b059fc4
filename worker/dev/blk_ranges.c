/*
 * DISCARD and WRITE_ZEROES: one range after the other, and for each the cheapest way that the file takes:
 * deallocate, zero in place, write zeroes.
 */
#include "blk.h"

#include <errno.h>

static void range_start(struct blk_request *req);
static void write_piece(struct blk_request *req);

static struct blk_range *range_of(struct blk_request *req)
{
        return &req->order.range[req->range];
}

static bool discards(const struct blk_request *req)
{
        return req->order.type == VIRTIO_BLK_T_DISCARD;
}

static bool unsupported(int64_t result)
{
        return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV;
}

static void range_end(struct blk_request *req, int64_t result)
{
        if (result < 0) {
                blk_finish(req, result);
                return;
        }
        req->range++;
        range_start(req);
}

static void write_next(struct blk_request *req, int64_t result)
{
        struct blk_range *range = range_of(req);

        if (result <= 0 || (uint64_t) result > range->len) {
                blk_finish(req, -EIO);
                return;
        }
        range->offset += (uint64_t) result;
        range->len -= (uint64_t) result;
        if (range->len)
                write_piece(req);
        else
                range_end(req, 0);
}

static void write_piece(struct blk_request *req)
{
        const struct blk *blk = req->loop->blk;
        const struct blk_range *range = range_of(req);

        req->piece = (struct iovec){ (char *) blk->zeroes,
                                     range->len < BLK_ZEROES_BYTES ? range->len : BLK_ZEROES_BYTES };
        req->io.iov = &req->piece;
        req->io.n_iov = 1;
        req->io.offset = range->offset;
        req->io.stable = false; /* one sync at the end is cheaper */
        blk_submit(req, IO_WRITE, write_next);
}

static void zero_next(struct blk_request *req, int64_t result)
{
        if (unsupported(result))
                write_piece(req);
        else
                range_end(req, result);
}

static void range_submit(struct blk_request *req, enum io_op op, void (*next)(struct blk_request *, int64_t))
{
        req->io.offset = range_of(req)->offset;
        req->io.length = range_of(req)->len;
        blk_submit(req, op, next);
}

/* A discard is a hint, and needs no second way. */
static void punch_next(struct blk_request *req, int64_t result)
{
        if (!unsupported(result))
                range_end(req, result);
        else if (discards(req))
                range_end(req, 0);
        else
                range_submit(req, IO_ZERO, zero_next);
}

/* All ranges are done. Zeroes are data: as stable as any write. */
static void ranges_end(struct blk_request *req)
{
        if (req->loop->blk->stable && !discards(req))
                blk_submit(req, IO_SYNC, blk_finish);
        else
                blk_finish(req, 0);
}

static void range_start(struct blk_request *req)
{
        while (req->range < req->order.n_ranges && range_of(req)->len == 0)
                req->range++;
        if (req->range == req->order.n_ranges)
                ranges_end(req);
        else if (range_of(req)->unmap)
                range_submit(req, IO_PUNCH, punch_next);
        else
                range_submit(req, IO_ZERO, zero_next);
}

void blk_ranges_start(struct blk_request *req)
{
        req->range = 0;
        range_start(req);
}
