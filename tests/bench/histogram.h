/*
 * Log-linear histograms of durations: 32 steps per power of two, so a percentile is right within 3 %.
 */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_STEPS = 32, HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * 40 };

struct histogram {
        uint64_t count[HISTOGRAM_BUCKETS];
        uint64_t n;
        uint64_t sum; /* ns */
};

void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *h, const struct histogram *other);

/* The duration in ns that `part` (0..1) of all do not exceed. */
uint64_t histogram_at(const struct histogram *h, double part);
