/*
 * A loop's part of the device's statistics (common/stats_page.h): plain stores to a page that no other thread writes.
 */
#pragma once

#include "chain.h"
#include "clock_now.h"
#include "stats_page.h"

struct stats {
        struct stats_page *page;
        uint64_t now; /* ns, as the loop last looked at the clock; 0: too long ago */
};

/* Requests given back that were taken together and are of one kind: they are counted at once. */
struct stats_run {
        uint8_t kind;
        uint64_t since, n, bytes;
};

/* Maps the pages of `loops` loops; closes nothing. -EINVAL: the file is too short; -errno. */
int stats_map(int file, unsigned loops, struct stats_page **ret_pages);

/* Counts a run, given back at stats->now, and begins an empty one. */
void stats_end_run(struct stats *stats, struct stats_run *run);

static inline void stats_set(uint64_t *word, uint64_t value)
{
        __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void stats_add(uint64_t *word, uint64_t n)
{
        stats_set(word, *word + n);
}

/* Requests are about to be taken: this is their time. */
static inline void stats_look(struct stats *stats)
{
        if (!stats->now)
                stats->now = (uint64_t) clock_now_ns();
}

/* So many more are in flight, or (modulo 2^64) less. */
static inline void stats_in_flight(struct stats *stats, uint64_t more)
{
        stats_add(&stats->page->in_flight, more);
}

/* A request was given back to the guest. */
static inline void stats_give_back(struct stats *stats, struct stats_run *run, const struct chain *chain)
{
        if (chain->kind != run->kind || chain->since != run->since) {
                stats_end_run(stats, run);
                run->kind = chain->kind;
                run->since = chain->since;
        }
        run->n++;
        run->bytes += chain->bytes;
        if (chain->error)
                stats_add(&stats->page->errors[chain->error], 1);
}
