/*
 * The engine without io_uring: a pool of threads that all exist before the run filter. Cached reads are answered by
 * the loop itself; all else goes through one queue, and comes back with one wake-up for many.
 */
#include "engine.h"

#include "rw2.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK = 64 << 10 };

struct sync_loop {
        struct sync *pool;
        struct io_list staged; /* for the pool, at the next flush */
        struct io_list ready;
        _Atomic(struct io *) done; /* what pool threads finished, newest first */
        struct fd wake;            /* written when `done` stops being empty */
};

struct sync {
        int disk;
        bool direct;
        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t more, all_here;
        struct io_list queue;
        int here; /* threads that run */
        struct sync_loop loop[];
};

static int64_t result_of(int64_t r)
{
        return r < 0 ? -errno : r;
}

static int64_t sync_run(int disk, const struct io *io)
{
        off_t at = (off_t) io->offset, length = (off_t) io->length;

        switch (io->op) {
        case IO_READ:
                return result_of(rw2_read(disk, io->iov, (int) io->n_iov, at, 0));
        case IO_WRITE:
                return result_of(rw2_write(disk, io->iov, (int) io->n_iov, at, io->stable ? RWF_DSYNC : 0));
        case IO_SYNC:
                return result_of(fdatasync(disk));
        case IO_PUNCH:
                return result_of(fallocate(disk, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length));
        case IO_ZERO:
                return result_of(fallocate(disk, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, at, length));
        }
        return -EINVAL;
}

static struct io *pool_take(struct sync *pool)
{
        struct io *io;

        pthread_mutex_lock(&pool->lock);
        while (!(io = io_pop(&pool->queue)))
                pthread_cond_wait(&pool->more, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
        return io;
}

/* Back to its loop; only who finds the list empty wakes the loop. */
static void pool_give_back(struct io *io)
{
        struct sync_loop *l = io->home;
        struct io *others = atomic_load_explicit(&l->done, memory_order_relaxed);
        uint64_t one = 1;

        do
                io->next = others;
        while (!atomic_compare_exchange_weak_explicit(&l->done, &others, io, memory_order_release,
                                                      memory_order_relaxed));
        if (!others && stream_write(l->wake.num, &one, sizeof(one)) < 0)
                abort(); /* its counter cannot be full */
}

_Noreturn static void *pool_main(void *context)
{
        struct sync *pool = context;

        pthread_mutex_lock(&pool->lock);
        pool->here++;
        pthread_cond_signal(&pool->all_here);
        pthread_mutex_unlock(&pool->lock);
        for (;;) {
                struct io *io = pool_take(pool);

                io->result = sync_run(pool->disk, io);
                pool_give_back(io);
        }
}

static int pool_spawn(struct sync *pool)
{
        pthread_attr_t attributes;
        pthread_t thread;
        int r = pthread_attr_init(&attributes);

        if (r == 0)
                r = pthread_attr_setstacksize(&attributes, STACK);
        for (int i = 0; r == 0 && i < ENGINE_SYNC_THREADS; i++)
                r = pthread_create(&thread, &attributes, pool_main, pool);
        pthread_attr_destroy(&attributes);
        return -r;
}

static int sync_open(const struct engine_setup *setup, void **ret_engine)
{
        struct sync *pool = calloc(1, sizeof(*pool) + setup->loops * sizeof(pool->loop[0]));

        if (!pool)
                return -ENOMEM;
        pool->disk = setup->disk;
        pool->direct = setup->direct;
        pthread_mutex_init(&pool->lock, NULL);
        pthread_cond_init(&pool->more, NULL);
        pthread_cond_init(&pool->all_here, NULL);
        *ret_engine = pool;
        return pool_spawn(pool);
}

static int sync_loop_open(void *engine, unsigned loop, void **ret_local, int *ret_wait_fd)
{
        struct sync *pool = engine;
        struct sync_loop *l = &pool->loop[loop];

        l->pool = pool;
        l->wake.num = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->wake.num < 0)
                return -errno;
        *ret_local = l;
        *ret_wait_fd = l->wake.num;
        return 0;
}

/* A thread that is still on its way makes calls which the run filter kills for. */
static void sync_settle(void *engine)
{
        struct sync *pool = engine;

        pthread_mutex_lock(&pool->lock);
        while (pool->here < ENGINE_SYNC_THREADS)
                pthread_cond_wait(&pool->all_here, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
}

/* Is it in the page cache? Then it costs one call and no switch of threads. */
static bool read_cached(const struct sync_loop *l, struct io *io)
{
        ssize_t n;

        if (io->op != IO_READ || l->pool->direct)
                return false;
        n = rw2_read(l->pool->disk, io->iov, (int) io->n_iov, (off_t) io->offset, RWF_NOWAIT);
        if (n <= 0)
                return false;
        io->result = n;
        return true;
}

static void sync_submit(void *local, struct io *io)
{
        struct sync_loop *l = local;

        io->home = l;
        io_push(read_cached(l, io) ? &l->ready : &l->staged, io);
}

static void sync_flush(void *local)
{
        struct sync_loop *l = local;
        struct io *io;
        bool several;

        if (!l->staged.first)
                return;
        several = l->staged.first != l->staged.last;
        pthread_mutex_lock(&l->pool->lock);
        while ((io = io_pop(&l->staged)))
                io_push(&l->pool->queue, io);
        pthread_mutex_unlock(&l->pool->lock);
        if (several)
                pthread_cond_broadcast(&l->pool->more);
        else
                pthread_cond_signal(&l->pool->more);
}

/* Takes all that the pool has finished, in the order in which it did. */
static void fetch_done(struct sync_loop *l)
{
        struct io *io = atomic_exchange_explicit(&l->done, NULL, memory_order_acquire);
        struct io *oldest = NULL;

        while (io) {
                struct io *next = io->next;

                io->next = oldest;
                oldest = io;
                io = next;
        }
        while (oldest) {
                struct io *next = oldest->next;

                io_push(&l->ready, oldest);
                oldest = next;
        }
}

static struct io *sync_reap(void *local)
{
        struct sync_loop *l = local;

        if (!l->ready.first && atomic_load_explicit(&l->done, memory_order_relaxed))
                fetch_done(l);
        return io_pop(&l->ready);
}

static bool sync_pending(const void *local)
{
        const struct sync_loop *l = local;

        return l->ready.first || atomic_load_explicit(&l->done, memory_order_relaxed);
}

const struct engine engine_sync = {
        .id = IPC_ENGINE_SYNC,
        .name = "sync",
        .open = sync_open,
        .loop_open = sync_loop_open,
        .settle = sync_settle,
        .submit = sync_submit,
        .flush = sync_flush,
        .reap = sync_reap,
        .pending = sync_pending,
};
