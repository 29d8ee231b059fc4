/*
 * The time, for limits of rate, for waits and for latencies.
 */
#pragma once

#include <time.h>

/* CLOCK_MONOTONIC, nanoseconds: a read of memory, where the vDSO can. */
static inline long long clock_now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec;
}
