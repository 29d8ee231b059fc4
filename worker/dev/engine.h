/*
 * An engine carries out I/O on the disk: one const struct of functions, chosen at start. It never touches a request;
 * it takes a `struct io`, and hands it back with a result.
 */
#pragma once

#include "fd.h"
#include "ipc.h"
#include "log.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum io_op {
        IO_READ,
        IO_WRITE,
        IO_SYNC,  /* fdatasync */
        IO_PUNCH, /* deallocate [offset, offset + length); it reads as zeroes */
        IO_ZERO,  /* zero it, keep it allocated */
};

struct io {
        enum io_op op;
        bool stable; /* IO_WRITE: on stable storage when it is done */
        const struct iovec *iov; /* IO_READ, IO_WRITE: at most IOV_MAX; lives until it is done */
        unsigned n_iov;
        uint64_t offset, length;
        int64_t result; /* bytes, 0 or -errno; may be short */
        void *home;     /* the engine's */
        struct io *next;
};

struct io_list {
        struct io *first, *last;
};

static inline void io_push(struct io_list *list, struct io *io)
{
        io->next = NULL;
        if (list->first)
                list->last->next = io;
        else
                list->first = io;
        list->last = io;
}

static inline struct io *io_pop(struct io_list *list)
{
        struct io *io = list->first;

        if (io)
                list->first = io->next;
        return io;
}

struct engine_setup {
        int disk;         /* borrowed for the life of the process */
        struct fd *fence; /* an engine whose I/O can outlive the process takes it along */
        bool direct;      /* the disk is open for direct I/O */
        unsigned loops;
        unsigned queues;  /* of all loops */
        const struct log *log;
};

struct engine {
        enum ipc_engine id;
        const char *name;

        /* In the main thread. -ENOSYS, -EPERM: this kernel does not let us. */
        int (*open)(const struct engine_setup *setup, void **ret_engine);

        /* In the loop's own thread; *ret_wait_fd has an edge whenever something is done, or is -1. */
        int (*loop_open)(void *engine, unsigned loop, void **ret_local, int *ret_wait_fd);

        /* After all loops are open. NULL: nothing to do. */
        void (*settle)(void *engine);

        /* Takes an io; flush() is when it must be on its way. */
        void (*submit)(void *local, struct io *io);
        void (*flush)(void *local);

        /* One that is done, or NULL. */
        struct io *(*reap)(void *local);

        /* Is one done? Looks at memory only. */
        bool (*pending)(const void *local);

        /* The loop is about to sleep. True: it must not, something is done. NULL: wait_fd always tells. */
        bool (*arm)(void *local);
};

extern const struct engine engine_uring, engine_sync, engine_null;

enum { ENGINE_SYNC_THREADS = 16, ENGINE_URING_KERNEL_THREADS = 8 /* per loop */ };
