/*
 * What vhost-broker --print-policy publishes, read back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { PUBLISHED_NUMBERS = 601, PUBLISHED_WAYS = 4 };

/* A system call of one profile. */
struct published_call {
        bool allowed;
        bool freely;  /* whatever its arguments are */
        unsigned n;   /* else in these ways: */
        uint64_t way[PUBLISHED_WAYS][6]; /* arguments that are all ones but for what is asked of them */
};

struct published {
        unsigned calls;      /* as the headline says */
        struct published_call call[PUBLISHED_NUMBERS];
};

/* The profile of that name. Fails the test if it is not there or cannot be understood. */
void published_read(const char *profile, struct published *ret_published);

/*
 * uretprobe and uprobe: newer kernels' traps for their own probes, which no filter sees. A process that makes such a call
 * without a probe is killed by SIGILL, or told ENXIO.
 */
static inline bool published_is_probe(unsigned number)
{
        return number == 335 || number == 336;
}
