/*
 * Direct I/O from and to guest memory that is not aligned for it: piece by piece through a bounce buffer.
 */
#include "blk.h"

#include <errno.h>
#include <string.h>

static bool reads(const struct blk_request *req)
{
        return req->order.type == VIRTIO_BLK_T_IN;
}

static void bounce_next(struct blk_request *req, int64_t result);

static void bounce_submit(struct blk_request *req)
{
        req->io.iov = &req->piece;
        req->io.n_iov = 1;
        req->io.offset = req->order.offset;
        req->io.stable = req->loop->blk->stable;
        blk_submit(req, reads(req) ? IO_READ : IO_WRITE, bounce_next);
}

static void bounce_piece(struct blk_request *req)
{
        struct chain_cursor *data = reads(req) ? &req->chain.in : &req->chain.out;
        uint64_t n = data->left < BOUNCE_BYTES ? data->left : BOUNCE_BYTES;

        if (!reads(req))
                chain_get(data, req->bounce, n);
        req->piece = (struct iovec){ req->bounce, n };
        bounce_submit(req);
}

/* Beyond the end of the file there are zeroes, as far as the piece goes. */
static uint64_t deliver(struct blk_request *req, uint64_t got)
{
        uint64_t n = req->piece.iov_len;

        if (got % req->loop->blk->setup.direct_offset == 0 && got)
                n = got;
        else
                memset(req->bounce + got, 0, n - got);
        chain_put(&req->chain.in, req->bounce, n);
        req->written += (uint32_t) n;
        return n;
}

static void bounce_read_next(struct blk_request *req, uint64_t got)
{
        req->order.offset += deliver(req, got);
        if (req->chain.in.left)
                bounce_piece(req);
        else
                blk_finish(req, 0);
}

static void bounce_write_next(struct blk_request *req, uint64_t put)
{
        req->order.offset += put;
        req->piece.iov_base = (char *) req->piece.iov_base + put;
        req->piece.iov_len -= put;
        if (put == 0)
                blk_finish(req, -EIO);
        else if (req->piece.iov_len)
                bounce_submit(req);
        else if (req->chain.out.left)
                bounce_piece(req);
        else
                blk_finish(req, 0);
}

static void bounce_next(struct blk_request *req, int64_t result)
{
        if (result < 0 || (uint64_t) result > req->piece.iov_len)
                blk_finish(req, -EIO);
        else if (reads(req))
                bounce_read_next(req, (uint64_t) result);
        else
                bounce_write_next(req, (uint64_t) result);
}

static void wait_for_buffer(struct blk_request *req)
{
        struct blk_loop *l = req->loop;

        req->next_waiting = NULL;
        if (l->first_waiting)
                l->last_waiting->next_waiting = req;
        else
                l->first_waiting = req;
        l->last_waiting = req;
}

void blk_bounce_start(struct blk_request *req)
{
        req->bounce = bounce_take(&req->loop->bounce);
        if (req->bounce)
                bounce_piece(req);
        else
                wait_for_buffer(req);
}

void blk_bounce_end(struct blk_request *req)
{
        struct blk_loop *l = req->loop;
        struct blk_request *waiting = l->first_waiting;

        bounce_give(&l->bounce, req->bounce);
        req->bounce = NULL;
        if (!waiting)
                return;
        l->first_waiting = waiting->next_waiting;
        blk_bounce_start(waiting);
}
