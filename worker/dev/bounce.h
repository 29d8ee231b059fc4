/*
 * Bounce buffers: aligned memory of ours for direct I/O from and to guest buffers that are not. A fixed few per loop;
 * who finds none waits.
 */
#pragma once

#include <stddef.h>

enum { BOUNCE_BYTES = 64 << 10, BOUNCE_BUFFERS = 8 };

struct bounce_pool {
        char *room;
        char *free[BOUNCE_BUFFERS];
        unsigned n_free;
};

/* Room that is filled when it is first used. -errno. */
int bounce_init(struct bounce_pool *pool);

/* A buffer of BOUNCE_BYTES, or NULL. */
char *bounce_take(struct bounce_pool *pool);
void bounce_give(struct bounce_pool *pool, char *buffer);
