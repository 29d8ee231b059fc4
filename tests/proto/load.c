/*
 * Verified load.
 */
#include "load.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum { SECTORS = 2048, SECTORS_MAX = 16 };

const struct load_case load_cases[LOAD_CASES] = {
        {"split, uring",           "uring", "block.cache=none",      false, false},
        { "split, sync",           "sync",  "block.cache=writeback", false, false},
        { "packed, uring",         "uring", "block.cache=none",      true,  false},
        { "packed in order, sync", "sync",  "block.cache=writeback", true,  true },
};

void load_start(struct load *load, const struct rig *rig, const struct load_case *c, uint64_t seed)
{
        struct fe_options options = {
                .queues = LOAD_QUEUES, .queue_size = 64, .packed = c->packed, .in_order = c->in_order
        };

        *load = (struct load){ .device = rig_device(rig, options), .random = seed | 1 };
        ck_assert(!!(load->device.features & VIRTIO_BIT(VIRTIO_F_RING_PACKED)) == c->packed);
        OK(model_init(&load->model, SECTORS));
        for (unsigned i = 0; i < LOAD_QUEUES; i++)
                OK(drv_blk_init(&load->lane[i].blk, load->device.vring[i], 0, LOAD_DEPTH, SECTORS_MAX * MODEL_SECTOR));
}

void load_stop(struct load *load)
{
        for (unsigned i = 0; i < LOAD_QUEUES; i++)
                drv_blk_done(&load->lane[i].blk);
        model_done(&load->model);
        OK(fe_device_stop(&load->device));
}

uint64_t load_below(struct load *load, uint64_t n)
{
        load->random ^= load->random << 13;
        load->random ^= load->random >> 7;
        load->random ^= load->random << 17;
        return (load->random >> 11) % n;
}

static enum load_kind pick_kind(struct load *load)
{
        uint64_t percent = load_below(load, 100);

        return percent < 50 ? LOAD_WRITE : percent < 85 ? LOAD_READ : percent < 95 ? LOAD_ZERO : LOAD_FLUSH;
}

static void submit(struct load *load, struct load_lane *lane, struct drv_blk_req *req)
{
        static const uint32_t types[] = {
                [LOAD_READ] = VIRTIO_BLK_T_IN,
                [LOAD_WRITE] = VIRTIO_BLK_T_OUT,
                [LOAD_ZERO] = VIRTIO_BLK_T_WRITE_ZEROES,
                [LOAD_FLUSH] = VIRTIO_BLK_T_FLUSH,
        };
        struct load_job *job = &lane->job[req - lane->blk.slot];
        uint32_t bytes;

        *job = (struct load_job){ .kind = pick_kind(load), .n = 1 + (unsigned) load_below(load, SECTORS_MAX) };
        job->sector = (unsigned) load_below(load, SECTORS - job->n);
        bytes = job->n * MODEL_SECTOR;
        memset(req->data.at, 0xee, SECTORS_MAX * MODEL_SECTOR);
        if (job->kind == LOAD_WRITE || job->kind == LOAD_ZERO)
                job->generation = model_begin(&load->model, job->sector, job->n, job->kind == LOAD_ZERO);
        if (job->kind == LOAD_WRITE)
                model_fill(job->sector, job->n, job->generation, req->data.at);
        if (job->kind == LOAD_ZERO) {
                *(struct virtio_blk_range *) req->data.at =
                        (struct virtio_blk_range){ .sector = htole64(job->sector), .sectors = htole32(job->n) };
                bytes = sizeof(struct virtio_blk_range);
        }
        job->from = load->model.now;
        lane->blk.how = load_below(load, 2) ? DRV_INDIRECT : DRV_DIRECT;
        OK(drv_blk_submit(&lane->blk, req, types[job->kind],
                          job->kind == LOAD_READ || job->kind == LOAD_WRITE ? job->sector : 0,
                          job->kind == LOAD_FLUSH ? 0 : bytes));
        load->requests++;
}

/* A completion that came early or twice would have found the status byte unwritten, and the data of a read. */
static void finish(struct load *load, struct load_lane *lane, struct drv_blk_req *req)
{
        const struct load_job *job = &lane->job[req - lane->blk.slot];

        ck_assert_msg(*req->status.at == VIRTIO_BLK_S_OK, "kind %d, sector %u+%u: status %u", (int) job->kind,
                      job->sector, job->n, *req->status.at);
        if (job->kind == LOAD_READ)
                ck_assert_msg(!model_wrong(&load->model, job->sector, job->n, job->from, req->data.at),
                              "sectors %u+%u: wrong bytes read", job->sector, job->n);
        if (job->kind == LOAD_WRITE || job->kind == LOAD_ZERO)
                model_end(&load->model, job->sector, job->n, job->generation);
        load->completed++;
}

static void fill_lanes(struct load *load)
{
        struct drv_blk_req *req;

        for (unsigned i = 0; i < LOAD_QUEUES; i++) {
                while ((req = drv_blk_slot(&load->lane[i].blk)))
                        submit(load, &load->lane[i], req);
                drv_kick(load->lane[i].blk.vring);
        }
}

/* Takes what is there; returns how many. */
static unsigned reap(struct load *load)
{
        struct drv_blk_req *req;
        unsigned n = 0;
        int r;

        for (unsigned i = 0; i < LOAD_QUEUES; i++) {
                while ((r = drv_blk_reap(&load->lane[i].blk, &req)) > 0) {
                        finish(load, &load->lane[i], req);
                        n++;
                }
                ck_assert_msg(!r, "queue %u: completed what is not in flight (twice?)", i);
        }
        return n;
}

unsigned load_in_flight(const struct load *load)
{
        unsigned n = 0;

        for (unsigned i = 0; i < LOAD_QUEUES; i++)
                n += load->lane[i].blk.vring->in_flight;
        return n;
}

/* Sleeps until a device calls; returns at once if a completion came before it was asked to. */
static void wait_any(struct load *load)
{
        struct pollfd p[LOAD_QUEUES];
        eventfd_t count;

        for (unsigned i = 0; i < LOAD_QUEUES; i++) {
                struct drv_vring *v = load->lane[i].blk.vring;

                drv_want_calls(v, true);
                if (v->format->pending(v))
                        return;
                p[i] = (struct pollfd){ .fd = v->call.num, .events = POLLIN };
        }
        ck_assert_msg(poll(p, LOAD_QUEUES, FE_TIMEOUT_MS) > 0, "lost: %u requests in flight and no call",
                      load_in_flight(load));
        for (unsigned i = 0; i < LOAD_QUEUES; i++)
                if (p[i].revents)
                        (void) !eventfd_read(p[i].fd, &count);
}

/* Keeps the queues full until so many requests have completed. */
void load_work(struct load *load, unsigned completions)
{
        unsigned done = 0;

        for (fill_lanes(load); done < completions; fill_lanes(load)) {
                wait_any(load);
                done += reap(load);
        }
}

void load_drain(struct load *load)
{
        while (load_in_flight(load)) {
                wait_any(load);
                reap(load);
        }
}

/* By the front-end's own reading of the file, after the last completion. */
void load_check_disk(const struct load *load, const struct rig *rig)
{
        uint8_t *data = malloc((size_t) SECTORS * MODEL_SECTOR);

        ck_assert(data != NULL);
        rig_read_disk(rig, 0, data, (size_t) SECTORS * MODEL_SECTOR);
        ck_assert_uint_eq(model_wrong_at_rest(&load->model, 0, SECTORS, data), 0);
        free(data);
}

uint64_t load_number(const char *name, uint64_t otherwise)
{
        const char *text = getenv(name);

        return text ? strtoull(text, NULL, 0) : otherwise;
}
