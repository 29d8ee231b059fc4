/*
 * Block requests as state machines: `next` is what happens when the io under way is done. Whatever goes wrong with
 * the disk ends as IOERR of that one request.
 */
#include "blk.h"

#include "array.h"
#include "stats_page.h"

#include <errno.h>
#include <limits.h>

enum { RETRIES_MAX = 8 };

static void finish(struct blk_request *req, uint8_t status)
{
        if (req->bounce)
                blk_bounce_end(req);
        req->chain.error = status;
        if (status != VIRTIO_BLK_S_OK)
                req->chain.bytes = 0;
        shared_store8(req->status, status, __ATOMIC_RELAXED);
        chain_done(&req->chain, req->written + 1);
}

void blk_finish(struct blk_request *req, int64_t result)
{
        finish(req, result < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

void blk_submit(struct blk_request *req, enum io_op op, void (*next)(struct blk_request *req, int64_t result))
{
        req->io.op = op;
        req->next = next;
        req->loop->blk->engine->submit(req->loop->engine, &req->io);
}

/* Interrupted or short of memory for a moment: once more, but not for ever. */
void blk_io_done(struct io *io)
{
        struct blk_request *req = (struct blk_request *) ((char *) io - offsetof(struct blk_request, io));

        if ((io->result == -EINTR || io->result == -EAGAIN) && req->retries++ < RETRIES_MAX)
                req->loop->blk->engine->submit(req->loop->engine, io);
        else
                req->next(req, io->result);
}

static struct chain_cursor *data_of(struct blk_request *req)
{
        return req->order.type == VIRTIO_BLK_T_IN ? &req->chain.in : &req->chain.out;
}

/* Did a read end where the file does? Then reading on would be unaligned, or would get nothing again. */
static bool at_end_of_file(const struct blk_request *req, int64_t result)
{
        const struct ipc_block *setup = &req->loop->blk->setup;

        return result == 0 || (setup->direct_memory && result % setup->direct_offset);
}

static void data_submit(struct blk_request *req);

static void data_next(struct blk_request *req, int64_t result)
{
        struct chain_cursor *data = data_of(req);
        bool reads = req->order.type == VIRTIO_BLK_T_IN;

        if (result < 0 || (uint64_t) result > data->left || (result == 0 && !reads)) {
                finish(req, VIRTIO_BLK_S_IOERR);
                return;
        }
        chain_skip(data, (uint64_t) result);
        req->order.offset += (uint64_t) result;
        req->written += reads ? (uint32_t) result : 0;
        if (data->left && reads && at_end_of_file(req, result)) /* behind it there are zeroes */
                req->written += (uint32_t) chain_zero(data);
        if (data->left)
                data_submit(req);
        else
                finish(req, VIRTIO_BLK_S_OK);
}

static void data_submit(struct blk_request *req)
{
        const struct chain_cursor *data = data_of(req);

        req->io.iov = data->part;
        req->io.n_iov = data->n < IOV_MAX ? data->n : IOV_MAX;
        req->io.offset = req->order.offset;
        req->io.stable = req->loop->blk->stable;
        blk_submit(req, req->order.type == VIRTIO_BLK_T_IN ? IO_READ : IO_WRITE, data_next);
}

/* Direct I/O takes only what is aligned, in memory and in length. */
static bool fits_direct(const struct blk *blk, const struct chain_cursor *data)
{
        for (unsigned i = 0; i < data->n; i++)
                if ((uintptr_t) data->part[i].iov_base % blk->setup.direct_memory ||
                    data->part[i].iov_len % blk->setup.direct_offset)
                        return false;
        return true;
}

static void data_start(struct blk_request *req)
{
        const struct blk *blk = req->loop->blk;

        if (data_of(req)->left == 0)
                finish(req, VIRTIO_BLK_S_OK);
        else if (blk->setup.direct_memory && !fits_direct(blk, data_of(req)))
                blk_bounce_start(req);
        else
                data_submit(req);
}

static void id_answer(struct blk_request *req)
{
        uint64_t n = req->chain.in.left < VIRTIO_BLK_ID_BYTES ? req->chain.in.left : VIRTIO_BLK_ID_BYTES;

        chain_put(&req->chain.in, req->loop->blk->setup.serial, n);
        req->written = (uint32_t) n;
        finish(req, VIRTIO_BLK_S_OK);
}

static void request_start(struct blk_request *req)
{
        switch (req->order.type) {
        case VIRTIO_BLK_T_IN:
        case VIRTIO_BLK_T_OUT:
                data_start(req);
                break;
        case VIRTIO_BLK_T_GET_ID:
                id_answer(req);
                break;
        case VIRTIO_BLK_T_DISCARD:
        case VIRTIO_BLK_T_WRITE_ZEROES:
                blk_ranges_start(req);
                break;
        default: /* FLUSH and its alias */
                blk_submit(req, IO_SYNC, blk_finish);
        }
}

static const uint8_t kinds[] = { /* from 1 on */
        [VIRTIO_BLK_T_IN] = STATS_READ + 1,         [VIRTIO_BLK_T_OUT] = STATS_WRITE + 1,
        [VIRTIO_BLK_T_FLUSH] = STATS_FLUSH + 1,     [VIRTIO_BLK_T_FLUSH_OUT] = STATS_FLUSH + 1,
        [VIRTIO_BLK_T_DISCARD] = STATS_DISCARD + 1, [VIRTIO_BLK_T_WRITE_ZEROES] = STATS_WRITE_ZEROES + 1,
};

/* For the statistics: what it is, and what it moves if it is done. */
static void describe(struct blk_request *req, uint8_t status)
{
        const struct blk_order *order = &req->order;
        uint8_t kind = order->type < ARRAY_SIZE(kinds) ? kinds[order->type] : 0;
        struct chain *chain = &req->chain;

        chain->kind = kind ? kind - 1 : STATS_OTHER;
        chain->bytes = chain->kind < STATS_TIMED ? data_of(req)->left : 0;
        if (status == VIRTIO_BLK_S_OK && (chain->kind == STATS_DISCARD || chain->kind == STATS_WRITE_ZEROES))
                for (unsigned i = 0; i < order->n_ranges; i++)
                        chain->bytes += order->range[i].len;
}

void blk_serve(void *local, struct chain *chain)
{
        struct blk_request *req = (struct blk_request *) chain;
        uint8_t status;

        req->loop = local;
        req->written = 0;
        req->retries = 0;
        req->bounce = NULL;
        if (chain_tail(&chain->in, &req->status) < 0) {
                chain->kind = STATS_OTHER;
                chain->error = STATS_IOERR;
                chain->bytes = 0;
                chain_done(chain, 0); /* nowhere to put a status */
                return;
        }
        status = blk_judge(&req->loop->blk->limits, chain, &req->order);
        describe(req, status);
        if (status == VIRTIO_BLK_S_OK)
                request_start(req);
        else
                finish(req, status);
}
