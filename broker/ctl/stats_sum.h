/*
 * Arithmetic with what workers claim to have counted: any number may stand anywhere.
 */
#pragma once

#include "stats_page.h"

/* A sum that is too large is the largest number. */
uint64_t stats_add(uint64_t a, uint64_t b);

/* Adds all counters; a sum that is too large stays at the largest number. */
void stats_sum(struct stats_page *to, const struct stats_page *page);

/* How many latencies there are in a histogram; at most UINT64_MAX. */
uint64_t stats_count(const uint64_t latency[STATS_BUCKETS]);

/*
 * Below how many ns `per_mille` of 1000 of the latencies are: the end of a bucket, so up to an eighth too much.
 * UINT64_MAX: beyond the histogram's end; 0: there are none.
 */
uint64_t stats_quantile(const uint64_t latency[STATS_BUCKETS], unsigned per_mille);
