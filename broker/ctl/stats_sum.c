/*
 * Sums that cannot wrap, and quantiles of them.
 */
#include "stats_sum.h"

#include <string.h>

uint64_t stats_add(uint64_t a, uint64_t b)
{
        uint64_t sum;

        return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

void stats_sum(struct stats_page *to, const struct stats_page *page)
{
        uint64_t sum[STATS_COUNTERS], more[STATS_COUNTERS];

        memcpy(sum, to, sizeof(sum));
        memcpy(more, page, sizeof(more));
        for (unsigned i = 0; i < STATS_COUNTERS; i++)
                sum[i] = stats_add(sum[i], more[i]);
        memcpy(to, sum, sizeof(sum));
}

uint64_t stats_count(const uint64_t latency[STATS_BUCKETS])
{
        uint64_t n = 0;

        for (unsigned i = 0; i < STATS_BUCKETS; i++)
                n = stats_add(n, latency[i]);
        return n;
}

uint64_t stats_quantile(const uint64_t latency[STATS_BUCKETS], unsigned per_mille)
{
        uint64_t n = stats_count(latency), seen = 0;
        uint64_t wanted = n / 1000 * per_mille + (n % 1000 * per_mille + 999) / 1000; /* rounded up, without overflow */

        for (unsigned i = 0; n && i < STATS_BUCKETS; i++) {
                seen = stats_add(seen, latency[i]);
                if (seen >= wanted && seen)
                        return stats_bucket_end(i);
        }
        return 0;
}
