/*
 * Counters of a device: a file of the broker's with a page for each loop of its worker, who alone writes there. Each
 * word has one writer and is stored whole, so who reads sees it as it was at some moment. A worker may have been taken
 * over: what stands here is a claim about its own device, and nothing may depend on it.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

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
};
static_assert(sizeof(struct stats_page) <= STATS_PAGE, "a page per loop");

enum { STATS_WORDS = sizeof(struct stats_page) / sizeof(uint64_t) };

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
