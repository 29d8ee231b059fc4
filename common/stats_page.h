/*
 * Counters and state of a device: a file of the broker's with a page for each loop of its worker, who alone writes
 * there. Each word has one writer and is stored whole, so who reads sees it as it was at some moment. A worker may have
 * been taken over: what stands here is a claim about its own device, and nothing may depend on it.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_NAME "statistics:" /* of the file, before the device's */

enum stats_kind { STATS_READ, STATS_WRITE, STATS_FLUSH, STATS_DISCARD, STATS_WRITE_ZEROES, STATS_OTHER, STATS_KINDS };

/* How a request ended that was not done; their numbers are those of a block request's status. */
enum stats_error { STATS_DONE, STATS_IOERR, STATS_UNSUPP, STATS_ERRORS };

/* Latencies: of reads and writes, from taking the request to its used entry. Eight steps per power of two. */
enum {
        STATS_TIMED = 2,        /* kinds: STATS_READ, STATS_WRITE */
        STATS_STEP_BITS = 3,
        STATS_LEAST_BITS = 10,  /* below 2^10 ns: the first bucket */
        STATS_MOST_BITS = 34,   /* from 2^34 ns on: the last */
        STATS_BUCKETS = ((STATS_MOST_BITS - STATS_LEAST_BITS) << STATS_STEP_BITS) + 2,
        STATS_PAGE = 4096,      /* bytes */
        STATS_VRINGS = 64,      /* that one loop may have */
};

/* How the device is used. */
enum stats_mode {
        STATS_LOG_ALL = 1 << 0, /* a migration's dirty log is kept */
        STATS_IOMMU = 1 << 1,   /* addresses are iovas */
};

/* A vring: its size (entries), these bits, and from STATS_BUSY on how many requests were taken and not published. */
enum stats_vring {
        STATS_SIZE = 0xffff,
        STATS_STARTED = 1 << 16,
        STATS_ENABLED = 1 << 17,
        STATS_BROKEN = 1 << 18,
        STATS_PACKED = 1 << 19,
        STATS_LOGGED = 1 << 20,  /* what is written into the ring is noted in the dirty log */
        STATS_WAITS = 1 << 21,   /* for what an iova stands for */
        STATS_DRAINS = 1 << 22,  /* takes nothing new: someone waits until it is idle */
        STATS_BUSY = 32,
};

struct stats_page {
        uint64_t requests[STATS_KINDS]; /* given back to the guest, whatever became of them */
        uint64_t bytes[STATS_KINDS];    /* of those that were done */
        uint64_t errors[STATS_ERRORS];
        uint64_t in_flight; /* taken and not given back */
        uint64_t kicks;     /* seen: several may have been one event */
        uint64_t calls;     /* made */
        uint64_t broken;    /* vrings, over time */
        uint64_t latency[STATS_TIMED][STATS_BUCKETS];

        /* State, not counted: of the device in the first loop's page, of vring i in that of loop i % loops. */
        uint64_t features; /* acked */
        uint64_t regions;  /* of guest memory */
        uint64_t memory;   /* bytes of them all */
        uint64_t modes;    /* enum stats_mode */
        uint64_t vring[STATS_VRINGS]; /* enum stats_vring, at i / loops */
};
static_assert(sizeof(struct stats_page) <= STATS_PAGE, "a page per loop");

enum {
        STATS_WORDS = sizeof(struct stats_page) / sizeof(uint64_t),
        STATS_COUNTERS = offsetof(struct stats_page, features) / sizeof(uint64_t), /* words to begin with */
};

/* The bucket of a latency in ns. */
static inline unsigned stats_bucket_of(uint64_t ns)
{
        unsigned power;

        if (ns >> STATS_LEAST_BITS == 0)
                return 0;
        if (ns >> STATS_MOST_BITS)
                return STATS_BUCKETS - 1;
        power = 63 - (unsigned) __builtin_clzll(ns);
        return 1 + ((power - STATS_LEAST_BITS) << STATS_STEP_BITS) +
               (unsigned) (ns >> (power - STATS_STEP_BITS) & ((1u << STATS_STEP_BITS) - 1));
}

/* The first ns that is beyond a bucket; of the last one, UINT64_MAX. */
static inline uint64_t stats_bucket_end(unsigned bucket)
{
        unsigned power = STATS_LEAST_BITS + ((bucket - 1) >> STATS_STEP_BITS);
        uint64_t step = (bucket - 1) & ((1u << STATS_STEP_BITS) - 1);

        if (bucket == 0)
                return UINT64_C(1) << STATS_LEAST_BITS;
        if (bucket >= STATS_BUCKETS - 1)
                return UINT64_MAX;
        return ((UINT64_C(1) << STATS_STEP_BITS) + step + 1) << (power - STATS_STEP_BITS);
}
