/*
 * A front-end that kills its broker under verified load, and comes again at once.
 */
#include "outlive.h"
#include "drv_blk.h"
#include "fe_time.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum { DEPTH = 16, SECTORS = 8, BYTES = SECTORS * 512, COMPLETIONS = 200 };

/* Each slot of the driver has sectors of its own, writes them and reads them back in turn. */
struct load {
        struct drv_blk blk;
        unsigned round[DEPTH]; /* odd: a write is next, or in flight; even: its reading back */
        int patience_ms;
};

static void pattern(unsigned slot, unsigned round, uint8_t *to)
{
        for (unsigned i = 0; i < BYTES; i++)
                to[i] = (uint8_t) (slot * 59 + round * 31 + i * 7 + i / 512);
}

static int submit(struct load *load, struct drv_blk_req *req)
{
        unsigned slot = (unsigned) (req - load->blk.slot);
        bool writes = ++load->round[slot] % 2;

        memset(req->data.at, 0, BYTES);
        if (writes)
                pattern(slot, load->round[slot], req->data.at);
        return drv_blk_submit(&load->blk, req, writes ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, slot * SECTORS, BYTES);
}

static int judge(const struct load *load, const struct drv_blk_req *req)
{
        unsigned slot = (unsigned) (req - load->blk.slot), round = load->round[slot];
        uint8_t want[BYTES];

        if (*req->status.at != VIRTIO_BLK_S_OK)
                return -EIO;
        pattern(slot, round - 1, want);
        return round % 2 || memcmp(req->data.at, want, BYTES) == 0 ? 0 : -EIO;
}

static int fill(struct load *load)
{
        struct drv_blk_req *req;
        int r = 0;

        while (r == 0 && (req = drv_blk_slot(&load->blk)))
                r = submit(load, req);
        if (r == 0)
                drv_kick(load->blk.vring);
        return r;
}

/* Waits for one completion and judges it. */
static int take(struct load *load)
{
        struct drv_blk_req *req;
        int r = drv_wait(load->blk.vring, fe_deadline(load->patience_ms));

        if (r == 0)
                r = drv_blk_reap(&load->blk, &req);
        return r == 1 ? judge(load, req) : r < 0 ? r : -EPROTO;
}

static int work(struct load *load)
{
        int r = fill(load);

        for (unsigned done = 0; r == 0 && done < COMPLETIONS; done++) {
                r = take(load);
                if (r == 0)
                        r = fill(load);
        }
        return r;
}

static int drain(struct load *load)
{
        int r = 0;

        while (r == 0 && load->blk.vring->in_flight)
                r = take(load);
        return r;
}

/* Its socket is held by somebody who outlives the broker. */
static int come_again(struct fe_device *device, const char *path, int patience_ms)
{
        struct fe_conn conn;
        int r = fe_gone(&device->conn);

        if (r == 0)
                r = fe_connect(path, 0, &conn);
        if (r < 0)
                return r;
        conn.timeout_ms = patience_ms;
        return fe_device_resume_on(device, conn);
}

static int kill_under_load(struct load *load, struct fe_device *device, const char *path, pid_t broker,
                           int *ret_pause_ms)
{
        long long from;
        int r = work(load);

        if (r < 0)
                return r;
        from = fe_now_ns();
        if (kill(broker, SIGKILL) < 0)
                return -errno;
        r = come_again(device, path, load->patience_ms);
        if (r == 0)
                r = drain(load);
        *ret_pause_ms = (int) ((fe_now_ns() - from) / 1000000);
        if (r == 0)
                r = work(load);
        return r < 0 ? r : drain(load);
}

int outlive(struct fe_device *device, const char *path, pid_t broker, int patience_ms, int *ret_pause_ms)
{
        struct load load = { .patience_ms = patience_ms };
        int r = drv_blk_init(&load.blk, device->vring[0], 0, DEPTH, BYTES);

        if (r < 0)
                return r;
        r = kill_under_load(&load, device, path, broker, ret_pause_ms);
        drv_blk_done(&load.blk);
        return r;
}
