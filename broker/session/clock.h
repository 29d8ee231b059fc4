/*
 * The one clock of the session.
 */
#pragma once

#include <time.h>

#define MS_NS 1000000LL

/* CLOCK_MONOTONIC in nanoseconds. */
static inline long long clock_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * (1000 * MS_NS) + now.tv_nsec;
}
