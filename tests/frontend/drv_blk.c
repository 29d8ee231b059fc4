/*
 * A block driver.
 */
#include "drv_blk.h"
#include "fe_conn.h"
#include "fe_time.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int init_slot(struct drv_blk *blk, unsigned region, struct drv_blk_req *req, uint32_t data_bytes)
{
        struct fe_mem *mem = blk->vring->mem;
        int r = fe_mem_alloc(mem, region, sizeof(struct virtio_blk_header), 16, &req->head);

        if (!r)
                r = fe_mem_alloc(mem, region, 1, 1, &req->status);
        if (!r)
                r = fe_mem_alloc(mem, region, data_bytes, 4096, &req->data);
        return r;
}

int drv_blk_init(struct drv_blk *blk, struct drv_vring *vring, unsigned region, unsigned slots, uint32_t data_bytes)
{
        int r = 0;

        *blk = (struct drv_blk){ .vring = vring, .n = slots, .slot = calloc(slots, sizeof(*blk->slot)) };
        if (!blk->slot)
                return -ENOMEM;
        for (unsigned i = 0; i < slots && !r; i++)
                r = init_slot(blk, region, &blk->slot[i], data_bytes);
        if (r)
                drv_blk_done(blk);
        return r;
}

void drv_blk_done(struct drv_blk *blk)
{
        free(blk->slot);
        blk->slot = NULL;
        blk->n = 0;
}

struct drv_blk_req *drv_blk_slot(struct drv_blk *blk)
{
        for (unsigned i = 0; i < blk->n; i++)
                if (!blk->slot[i].busy)
                        return &blk->slot[i];
        return NULL;
}

static bool device_writes(uint32_t type)
{
        return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
}

int drv_blk_submit(struct drv_blk *blk, struct drv_blk_req *req, uint32_t type, uint64_t sector, uint32_t bytes)
{
        struct drv_seg segs[3] = {
                {req->head.gpa, sizeof(struct virtio_blk_header), false}
        };
        struct virtio_blk_header *header = (struct virtio_blk_header *) req->head.at;
        unsigned n = 1;
        int r;

        if (bytes > req->data.size)
                return -E2BIG;
        if (bytes)
                segs[n++] = (struct drv_seg){ req->data.gpa, bytes, device_writes(type) };
        segs[n++] = (struct drv_seg){ req->status.gpa, 1, true };
        *header = (struct virtio_blk_header){ .type = htole32(type), .sector = htole64(sector) };
        *req->status.at = 0xff;
        r = drv_add(blk->vring, segs, n, blk->how, req);
        if (r)
                return r;
        req->busy = true;
        req->sector = sector;
        req->sent_ns = fe_now_ns();
        return 0;
}

int drv_blk_reap(struct drv_blk *blk, struct drv_blk_req **ret_req)
{
        struct drv_used used;
        struct drv_blk_req *req;
        int r = drv_pop(blk->vring, &used);

        if (r <= 0)
                return r;
        req = used.cookie;
        req->len = used.len;
        req->busy = false;
        req->done_ns = fe_now_ns();
        *ret_req = req;
        return 1;
}

int drv_blk_run(struct drv_blk *blk, uint32_t type, uint64_t sector, uint32_t bytes, int timeout_ms,
                struct drv_blk_req **ret_req)
{
        struct drv_blk_req *req = drv_blk_slot(blk), *done;
        int r;

        if (!req || blk->vring->in_flight)
                return -EBUSY;
        r = drv_blk_submit(blk, req, type, sector, bytes);
        if (r)
                return r;
        drv_kick(blk->vring);
        r = drv_wait(blk->vring, fe_deadline(timeout_ms));
        if (!r)
                r = drv_blk_reap(blk, &done);
        if (r < 0)
                return r;
        *ret_req = done;
        return *(volatile uint8_t *) done->status.at;
}

int drv_blk_read(struct drv_blk *blk, uint64_t sector, void *to, uint32_t n)
{
        struct drv_blk_req *req;
        int r = drv_blk_run(blk, VIRTIO_BLK_T_IN, sector, n, FE_TIMEOUT_MS, &req);

        if (!r)
                memcpy(to, req->data.at, n);
        return r || req->len == n + 1 ? r : -EBADMSG;
}

int drv_blk_write(struct drv_blk *blk, uint64_t sector, const void *from, uint32_t n)
{
        struct drv_blk_req *req = drv_blk_slot(blk);
        int r;

        if (!req || n > req->data.size)
                return -E2BIG;
        memcpy(req->data.at, from, n);
        r = drv_blk_run(blk, VIRTIO_BLK_T_OUT, sector, n, FE_TIMEOUT_MS, &req);
        return r || req->len == 1 ? r : -EBADMSG;
}

int drv_blk_flush(struct drv_blk *blk)
{
        struct drv_blk_req *req;
        int r = drv_blk_run(blk, VIRTIO_BLK_T_FLUSH, 0, 0, FE_TIMEOUT_MS, &req);

        return r || req->len == 1 ? r : -EBADMSG;
}

int drv_blk_get_id(struct drv_blk *blk, char ret_id[VIRTIO_BLK_ID_BYTES + 1])
{
        struct drv_blk_req *req;
        int r = drv_blk_run(blk, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES, FE_TIMEOUT_MS, &req);

        if (r)
                return r;
        memcpy(ret_id, req->data.at, VIRTIO_BLK_ID_BYTES);
        ret_id[VIRTIO_BLK_ID_BYTES] = 0;
        return req->len == VIRTIO_BLK_ID_BYTES + 1 ? 0 : -EBADMSG;
}

int drv_blk_ranges(struct drv_blk *blk, uint32_t type, const struct virtio_blk_range *ranges, unsigned n)
{
        struct drv_blk_req *req = drv_blk_slot(blk);

        if (!req || n * sizeof(*ranges) > req->data.size)
                return -E2BIG;
        if (n)
                memcpy(req->data.at, ranges, n * sizeof(*ranges));
        return drv_blk_run(blk, type, 0, n * (uint32_t) sizeof(*ranges), FE_TIMEOUT_MS, &req);
}

int drv_raw(struct drv_vring *v, const struct drv_seg *segs, unsigned n, enum drv_how how, int timeout_ms,
            uint32_t *ret_len)
{
        struct drv_used used;
        int r = drv_add(v, segs, n, how, NULL);

        if (r)
                return r;
        drv_kick(v);
        r = drv_take(v, timeout_ms, &used);
        if (!r)
                *ret_len = used.len;
        return r;
}
