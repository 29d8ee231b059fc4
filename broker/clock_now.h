/*
 * The time that limits of rate are measured in.
 */
#pragma once

#include <time.h>

/* CLOCK_MONOTONIC, nanoseconds. */
static inline long long clock_now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec;
}
