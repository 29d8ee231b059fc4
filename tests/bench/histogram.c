/*
 * Log-linear histograms.
 */
#include "histogram.h"

static unsigned bucket_of(uint64_t ns)
{
        unsigned shift, bucket;

        if (ns < HISTOGRAM_STEPS)
                return (unsigned) ns;
        shift = 63 - (unsigned) __builtin_clzll(ns) - 5; /* 5: log2 of the steps */
        bucket = (shift + 1) * HISTOGRAM_STEPS + (unsigned) ((ns >> shift) & (HISTOGRAM_STEPS - 1));
        return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t value_of(unsigned bucket)
{
        unsigned shift = bucket / HISTOGRAM_STEPS;

        if (!shift)
                return bucket;
        return (uint64_t) (HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS) << (shift - 1);
}

void histogram_add(struct histogram *h, uint64_t ns)
{
        h->count[bucket_of(ns)]++;
        h->n++;
        h->sum += ns;
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
                h->count[i] += other->count[i];
        h->n += other->n;
        h->sum += other->sum;
}

uint64_t histogram_at(const struct histogram *h, double part)
{
        uint64_t seen = 0, want = (uint64_t) ((double) h->n * part);

        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                seen += h->count[i];
                if (seen > want)
                        return value_of(i);
        }
        return 0;
}
