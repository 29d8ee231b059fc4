/*
 * The block device (virtio 1.3, 5.2): requests as small state machines on top of an engine.
 */
#pragma once

#include "blk_order.h"
#include "bounce.h"
#include "device.h"
#include "engine.h"

extern const struct device device_blk;

struct blk {
        struct ipc_block setup;
        struct blk_limits limits;
        uint64_t acked;  /* virtio features */
        bool writeback;  /* as the guest last set it in the config space */
        bool stable;     /* every write must be on stable storage when it completes */
        const struct engine *engine;
        void *engine_state;
        const char *zeroes; /* BLK_ZEROES_BYTES of them; not a page of memory behind it */
        struct blk_loop *loop;
};

enum { BLK_ZEROES_BYTES = 256 << 10 };

struct blk_request;

/* A loop's part of the device. */
struct blk_loop {
        const struct blk *blk;
        void *engine; /* the engine's part for this loop */
        struct bounce_pool bounce;
        struct blk_request *first_waiting, *last_waiting; /* for a bounce buffer */
};

struct blk_request {
        struct chain chain; /* first */
        struct blk_loop *loop;
        uint8_t SHARED *status;
        uint32_t written; /* bytes of data */
        unsigned retries;
        void (*next)(struct blk_request *req, int64_t result); /* when its io is done */
        struct io io;
        struct iovec piece; /* of a bounce buffer, or of zeroes */
        char *bounce;
        unsigned range;   /* the one being worked at */
        struct blk_request *next_waiting;
        struct blk_order order;
};

/* blk_request.c: judges a chain and starts on it; ends it, now or later, with chain_done(). */
void blk_serve(void *local, struct chain *chain);

/* blk_request.c: an io is done, and its request goes on. */
void blk_io_done(struct io *io);

/* blk_request.c, for the machines below: hands req->io to the engine; answers IOERR if result < 0, else OK. */
void blk_submit(struct blk_request *req, enum io_op op, void (*next)(struct blk_request *req, int64_t result));
void blk_finish(struct blk_request *req, int64_t result);

/* blk_bounce.c: data through a bounce buffer, once there is one; gives the buffer back. */
void blk_bounce_start(struct blk_request *req);
void blk_bounce_end(struct blk_request *req);

/* blk_ranges.c: DISCARD and WRITE_ZEROES. */
void blk_ranges_start(struct blk_request *req);
