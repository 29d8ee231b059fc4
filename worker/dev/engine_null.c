/*
 * The engine that does nothing: what a request costs without a disk. Reads leave the guest's buffer as it is, so
 * nothing of ours can leak into it.
 */
#include "engine.h"

#include <errno.h>
#include <stdlib.h>

static int null_open(const struct engine_setup *setup, void **ret_engine)
{
        struct io_list *ready = calloc(setup->loops, sizeof(*ready));

        if (!ready)
                return -ENOMEM;
        *ret_engine = ready;
        return 0;
}

static int null_loop_open(void *engine, unsigned loop, void **ret_local, int *ret_wait_fd)
{
        struct io_list *ready = engine;

        *ret_local = &ready[loop];
        *ret_wait_fd = -1;
        return 0;
}

static void null_submit(void *local, struct io *io)
{
        io->result = 0;
        if (io->op == IO_READ || io->op == IO_WRITE)
                for (unsigned i = 0; i < io->n_iov; i++)
                        io->result += (int64_t) io->iov[i].iov_len;
        io_push(local, io);
}

static void null_flush(void *local)
{
        (void) local;
}

static struct io *null_reap(void *local)
{
        return io_pop(local);
}

static bool null_pending(const void *local)
{
        const struct io_list *ready = local;

        return ready->first;
}

const struct engine engine_null = {
        .id = IPC_ENGINE_NULL,
        .name = "null",
        .open = null_open,
        .loop_open = null_loop_open,
        .submit = null_submit,
        .flush = null_flush,
        .reap = null_reap,
        .pending = null_pending,
};
