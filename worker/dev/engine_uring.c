/*
 * The io_uring engine: one ring per loop, made disabled, restricted to what a disk needs, given the disk and the
 * fence as its only files, enabled by its loop, and tried with a forbidden opcode. seccomp does not see what a ring
 * does, so these restrictions are the fence around it: any failure is fatal.
 */
#include "engine.h"

#include "array.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

enum {
        FILE_DISK = 0, /* indices of the fixed files */
        FILE_FENCE = 1,
        INFLIGHT_LEAST = 128, /* per loop: what one page of completions holds */
        INFLIGHT_MOST = 512,
        INFLIGHT_PER_QUEUE = 32,
        SUBMIT_MOST = 128, /* at once */
};

struct uring_loop {
        struct io_uring ring;
        struct fd wake;     /* signalled by the kernel, but only while the loop sleeps */
        bool armed;
        unsigned queued;    /* not yet submitted */
        unsigned in_kernel; /* queued ones included */
        unsigned most;      /* of them, so that completions never overflow */
        struct io_list backlog;
};

struct uring {
        struct fd *fence;
        const struct log *log;
        struct uring_loop loop[];
};

/* From the best to what Debian 12's kernel and hardened ones have at least. */
static const unsigned ring_flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
};

/* The rings' pages are there from the beginning, used or not. A power of two. */
static unsigned inflight_most(const struct engine_setup *setup)
{
        unsigned queues = (setup->queues + setup->loops - 1) / setup->loops;
        unsigned most = INFLIGHT_LEAST;

        while (most < INFLIGHT_MOST && most < queues * INFLIGHT_PER_QUEUE)
                most *= 2;
        return most;
}

static int ring_make(struct io_uring *ring, unsigned most)
{
        unsigned submit = most / 2 < SUBMIT_MOST ? most / 2 : SUBMIT_MOST;
        int r = -EINVAL;

        for (size_t i = 0; i < ARRAY_SIZE(ring_flags) && r == -EINVAL; i++) {
                struct io_uring_params params = { .cq_entries = most };

                params.flags = ring_flags[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
                r = io_uring_queue_init_params(submit, ring, &params);
        }
        return r;
}

/* Must come before the ring is enabled: afterwards the kernel refuses it and the ring stays open to everything. */
static int ring_restrict(struct io_uring *ring)
{
        struct io_uring_restriction allowed[] = {
                { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV },
                { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
                { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC },
                { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE },
                { .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE },
                { .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE },
        };

        return io_uring_register_restrictions(ring, allowed, ARRAY_SIZE(allowed));
}

static int ring_set_up(struct uring_loop *l, const struct engine_setup *setup)
{
        struct io_uring *ring = &l->ring;
        const int files[] = { [FILE_DISK] = setup->disk, [FILE_FENCE] = setup->fence->num };
        unsigned workers[] = { ENGINE_URING_KERNEL_THREADS, 1 };
        int r;

        l->wake.num = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->wake.num < 0)
                return -errno;
        io_uring_cq_eventfd_toggle(ring, false);
        r = io_uring_register_eventfd(ring, l->wake.num);
        if (r == 0)
                r = io_uring_register_files(ring, files, ARRAY_SIZE(files));
        if (r == 0)
                r = io_uring_register_iowq_max_workers(ring, workers);
        return r < 0 ? r : ring_restrict(ring);
}

static int uring_open(const struct engine_setup *setup, void **ret_engine)
{
        struct uring *u = calloc(1, sizeof(*u) + setup->loops * sizeof(u->loop[0]));
        int r = 0;

        if (!u)
                return -ENOMEM;
        u->fence = setup->fence;
        u->log = setup->log;
        for (unsigned i = 0; r == 0 && i < setup->loops; i++) {
                u->loop[i].most = inflight_most(setup);
                r = ring_make(&u->loop[i].ring, u->loop[i].most);
                if (r < 0) {
                        if (i == 0) /* the one failure that leaves nothing behind: another engine may follow */
                                free(u);
                        return r;
                }
                r = ring_set_up(&u->loop[i], setup);
        }
        if (r < 0)
                log_error(u->log, "io_uring: restricting the ring: %s", log_errno(r));
        *ret_engine = u;
        return r < 0 ? -EACCES : 0;
}

/* A no-op is harmless and not on the list. */
static int ring_try_forbidden(struct io_uring *ring)
{
        struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
        struct io_uring_cqe *cqe;
        int r;

        io_uring_prep_nop(sqe);
        sqe->flags = IOSQE_FIXED_FILE;
        r = io_uring_submit_and_wait(ring, 1);
        if (r >= 0)
                r = io_uring_peek_cqe(ring, &cqe);
        if (r < 0)
                return r;
        r = cqe->res == -EACCES ? 0 : -EACCES;
        io_uring_cqe_seen(ring, cqe);
        return r;
}

/* The task that enables a ring with a single issuer is its issuer: the loop's own thread. */
static int uring_loop_open(void *engine, unsigned loop, void **ret_local, int *ret_wait_fd)
{
        struct uring *u = engine;
        struct uring_loop *l = &u->loop[loop];
        int r = io_uring_enable_rings(&l->ring);

        if (r < 0) {
                log_error(u->log, "io_uring: enabling the ring: %s", log_errno(r));
                return r;
        }
        r = ring_try_forbidden(&l->ring);
        if (r < 0) {
                log_error(u->log, "io_uring: a forbidden opcode was not refused: %s", log_errno(r));
                return r;
        }
        *ret_local = l;
        *ret_wait_fd = l->wake.num;
        return 0;
}

/* Only the rings hold it from now on: it hangs up when they are freed, after their last I/O. */
static void uring_settle(void *engine)
{
        struct uring *u = engine;

        fd_close(u->fence);
}

static void prepare(struct io_uring_sqe *sqe, const struct io *io)
{
        switch (io->op) {
        case IO_READ:
                io_uring_prep_readv(sqe, FILE_DISK, io->iov, io->n_iov, io->offset);
                break;
        case IO_WRITE:
                io_uring_prep_writev2(sqe, FILE_DISK, io->iov, io->n_iov, io->offset, io->stable ? RWF_DSYNC : 0);
                break;
        case IO_SYNC:
                io_uring_prep_fsync(sqe, FILE_DISK, IORING_FSYNC_DATASYNC);
                break;
        case IO_PUNCH:
                io_uring_prep_fallocate(sqe, FILE_DISK, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                        (off_t) io->offset, (off_t) io->length);
                break;
        case IO_ZERO:
                io_uring_prep_fallocate(sqe, FILE_DISK, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                        (off_t) io->offset, (off_t) io->length);
                break;
        }
        sqe->flags = IOSQE_FIXED_FILE;
}

/* A completion costs a wake-up only if the loop sleeps. */
static void set_armed(struct uring_loop *l, bool armed)
{
        if (l->armed == armed)
                return;
        l->armed = armed;
        io_uring_cq_eventfd_toggle(&l->ring, armed);
}

static bool uring_pending(const void *local)
{
        const struct uring_loop *l = local;
        unsigned flags = IO_URING_READ_ONCE(*l->ring.sq.kflags);

        return l->queued || io_uring_cq_ready(&l->ring) || flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* The fence pairs with the kernel's, between what it completes and its look at our flag. */
static bool uring_arm(void *local)
{
        struct uring_loop *l = local;

        if (l->in_kernel == 0)
                return false;
        set_armed(l, true);
        atomic_thread_fence(memory_order_seq_cst);
        return uring_pending(l);
}

/* What cannot be submitted now stays queued; the loop comes again as long as something is queued. */
static void uring_flush(void *local)
{
        struct uring_loop *l = local;
        int n;

        if (l->queued == 0)
                return;
        set_armed(l, false);
        n = l->ring.flags & IORING_SETUP_DEFER_TASKRUN ? io_uring_submit_and_get_events(&l->ring)
                                                       : io_uring_submit(&l->ring);
        if (n > 0)
                l->queued -= (unsigned) n < l->queued ? (unsigned) n : l->queued;
}

static bool uring_queue(struct uring_loop *l, struct io *io)
{
        struct io_uring_sqe *sqe;

        if (l->in_kernel == l->most)
                return false;
        sqe = io_uring_get_sqe(&l->ring);
        if (!sqe) {
                uring_flush(l);
                sqe = io_uring_get_sqe(&l->ring);
        }
        if (!sqe)
                return false;
        prepare(sqe, io);
        io_uring_sqe_set_data(sqe, io);
        l->queued++;
        l->in_kernel++;
        return true;
}

static void uring_submit(void *local, struct io *io)
{
        struct uring_loop *l = local;

        if (l->backlog.first || !uring_queue(l, io))
                io_push(&l->backlog, io);
}

static void queue_backlog(struct uring_loop *l)
{
        while (l->backlog.first && l->in_kernel < l->most && io_uring_sq_space_left(&l->ring))
                uring_queue(l, io_pop(&l->backlog));
}

static struct io *uring_reap(void *local)
{
        struct uring_loop *l = local;
        struct io_uring_cqe *cqe;
        struct io *io;

        if (l->in_kernel == 0)
                return NULL;
        set_armed(l, false);
        if (io_uring_peek_cqe(&l->ring, &cqe) < 0)
                return NULL;
        io = io_uring_cqe_get_data(cqe);
        io->result = cqe->res;
        io_uring_cqe_seen(&l->ring, cqe);
        l->in_kernel--;
        queue_backlog(l);
        return io;
}

const struct engine engine_uring = {
        .id = IPC_ENGINE_URING,
        .name = "uring",
        .open = uring_open,
        .loop_open = uring_loop_open,
        .settle = uring_settle,
        .submit = uring_submit,
        .flush = uring_flush,
        .reap = uring_reap,
        .pending = uring_pending,
        .arm = uring_arm,
};
