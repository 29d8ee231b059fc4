/*
 * What confinement costs can only be told by a build without it: this file takes the place, by the linker's --wrap, of
 * what confines broker, session and worker. Never installed; the programs that are have no switch for it.
 */
#include "confine.h"
#include "ipc.h"

#ifdef UNCONFINED_BROKER
#include "privilege.h"

#include <unistd.h>
#endif
#ifdef UNCONFINED_WORKER
#include <errno.h>
#include <liburing.h>
#endif

int __wrap_confine_mdwe(void);
int __wrap_confine_landlock(void);
int __wrap_confine_filter(const struct sock_filter *code, unsigned short n);

int __wrap_confine_mdwe(void)
{
        return 0;
}

int __wrap_confine_landlock(void)
{
        return 0;
}

int __wrap_confine_filter(const struct sock_filter *code, unsigned short n)
{
        (void) code;
        (void) n;
        return 0;
}

#ifdef UNCONFINED_BROKER
int __wrap_privilege_give_away(const struct privilege_want *want, const struct log *log, struct privilege *ret);

/* Stays who it is: no namespaces, no uids of their own, the host's root directory. */
int __wrap_privilege_give_away(const struct privilege_want *want, const struct log *log, struct privilege *ret)
{
        (void) want;
        log_warning(log, "NOTHING IS CONFINED");
        *ret = (struct privilege){ .range = FD_NONE, .root = FD_NONE, .lock = FD_NONE, .own_uid = true, .first = geteuid(), .count = 1,
                                   .lacks = IPC_LAYER_NAMESPACES | IPC_LAYER_UIDS };
        return 0;
}
#endif

#ifdef UNCONFINED_WORKER
int __wrap_io_uring_register_restrictions(struct io_uring *ring, struct io_uring_restriction *allowed, unsigned n);
int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned n);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned n);

int __wrap_io_uring_register_restrictions(struct io_uring *ring, struct io_uring_restriction *allowed, unsigned n)
{
        (void) ring;
        (void) allowed;
        (void) n;
        return 0;
}

/* Used for one thing, the trial of a forbidden opcode: it passes here, and its answer is made the one that is wanted. */
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned n)
{
        int r = __real_io_uring_submit_and_wait(ring, n);
        struct io_uring_cqe *cqe;

        if (r >= 0 && io_uring_peek_cqe(ring, &cqe) == 0)
                cqe->res = -EACCES;
        return r;
}
#endif
