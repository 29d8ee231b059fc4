/*
 * A block driver (virtio 1.3, 5.2) on one virtqueue: slots with header, data and status in guest memory, any number of
 * them in flight; and requests of free shape for hostile use.
 */
#pragma once

#include "drv_vring.h"
#include "virtio.h"

struct drv_blk_req {
        struct fe_buf head; /* struct virtio_blk_header */
        struct fe_buf data;
        struct fe_buf status; /* one byte */
        uint32_t len;         /* bytes that the device says it has written */
        long long sent_ns, done_ns;
        uint64_t sector;
        bool busy;
};

struct drv_blk {
        struct drv_vring *vring;
        enum drv_how how;
        unsigned n; /* slots */
        struct drv_blk_req *slot;
};

/* `slots` requests with data_bytes each, in guest memory of `region`. */
int drv_blk_init(struct drv_blk *blk, struct drv_vring *vring, unsigned region, unsigned slots, uint32_t data_bytes);

/* Frees the slots; the vring stays with its owner. */
void drv_blk_done(struct drv_blk *blk);

/* A slot that is not in flight, or NULL. */
struct drv_blk_req *drv_blk_slot(struct drv_blk *blk);

/* Queues a request of the first `bytes` of the slot's data without kicking; type as in the standard. */
int drv_blk_submit(struct drv_blk *blk, struct drv_blk_req *req, uint32_t type, uint64_t sector, uint32_t bytes);

/* 1: a finished request; 0: none; -EPROTO. */
int drv_blk_reap(struct drv_blk *blk, struct drv_blk_req **ret_req);

/* Submits, kicks and waits, alone in the queue. Returns the status byte, or -errno. */
int drv_blk_run(struct drv_blk *blk, uint32_t type, uint64_t sector, uint32_t bytes, int timeout_ms,
                struct drv_blk_req **ret_req);

/* Whole requests, with a copy of the data; return the status byte (0: OK) or -errno. n in bytes. */
int drv_blk_read(struct drv_blk *blk, uint64_t sector, void *to, uint32_t n);
int drv_blk_write(struct drv_blk *blk, uint64_t sector, const void *from, uint32_t n);
int drv_blk_flush(struct drv_blk *blk);
int drv_blk_get_id(struct drv_blk *blk, char ret_id[VIRTIO_BLK_ID_BYTES + 1]);

/* DISCARD or WRITE_ZEROES of n segments, in host byte order already converted by the caller. */
int drv_blk_ranges(struct drv_blk *blk, uint32_t type, const struct virtio_blk_range *ranges, unsigned n);

/* Puts a chain of any shape into the queue and waits for it; *ret_len: bytes written. */
int drv_raw(struct drv_vring *v, const struct drv_seg *segs, unsigned n, enum drv_how how, int timeout_ms,
            uint32_t *ret_len);
