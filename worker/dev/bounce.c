/*
 * Bounce buffers, last in first out: the one used last is warm.
 */
#include "bounce.h"

#include <errno.h>
#include <sys/mman.h>

int bounce_init(struct bounce_pool *pool)
{
        char *room = mmap(NULL, BOUNCE_BUFFERS * BOUNCE_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (room == MAP_FAILED)
                return -errno;
        *pool = (struct bounce_pool){ .room = room };
        for (int i = BOUNCE_BUFFERS - 1; i >= 0; i--)
                bounce_give(pool, room + i * BOUNCE_BYTES);
        return 0;
}

char *bounce_take(struct bounce_pool *pool)
{
        return pool->n_free ? pool->free[--pool->n_free] : NULL;
}

void bounce_give(struct bounce_pool *pool, char *buffer)
{
        pool->free[pool->n_free++] = buffer;
}
