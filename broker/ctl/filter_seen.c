/*
 * Reading filters back: ptrace(2), PTRACE_SECCOMP_GET_FILTER, for CAP_SYS_ADMIN only. Its thread is attached without a
 * signal, interrupted, and let go; a system call that it sat in fails with EINTR or begins anew, as after a SIGSTOP.
 */
#include "filter_seen.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

enum { STOP_MS = 1000 };

/*
 * ret_signal: one that was just about to reach it, and must not get lost. It stops at its next way out of the kernel.
 * There is nothing to wait on with a limit but to look.
 */
static int await_stop(pid_t pid, int *ret_signal)
{
        const struct timespec tick = { .tv_nsec = 200 * 1000 };

        for (unsigned i = 0; i < STOP_MS * 5; i++) {
                int status;
                pid_t r = waitpid(pid, &status, __WALL | WNOHANG);

                if (r < 0)
                        return -errno;
                if (r == pid && !WIFSTOPPED(status))
                        return -ESRCH;
                if (r == pid) {
                        *ret_signal = status >> 16 ? 0 : WSTOPSIG(status);
                        return 0;
                }
                nanosleep(&tick, NULL);
        }
        return -ETIMEDOUT;
}

/* The kernel counts from the oldest. */
static int read_one(pid_t pid, unsigned index, struct filters_seen *filters)
{
        long n = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, (void *) (uintptr_t) index, NULL);
        struct sock_filter *code;

        if (n < 0)
                return -errno;
        if (n == 0 || n > BPF_MAXINSNS)
                return -EPROTO;
        code = calloc((size_t) n, sizeof(*code));
        if (!code)
                return -ENOMEM;
        if (ptrace(PTRACE_SECCOMP_GET_FILTER, pid, (void *) (uintptr_t) index, code) != n) {
                free(code);
                return -EPROTO;
        }
        filters->filter[filters->n].n = (unsigned short) n;
        filters->filter[filters->n].code = code;
        filters->n++;
        return 0;
}

int filters_read(pid_t pid, unsigned total, unsigned n, struct filters_seen *ret_filters)
{
        int r = 0, signal = 0;

        ret_filters->n = 0;
        if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
                return -errno;
        if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
                r = -errno;
        if (r == 0)
                r = await_stop(pid, &signal);
        for (unsigned i = 0; r == 0 && i < n && i < total && i < FILTERS_MOST; i++)
                r = read_one(pid, total - 1 - i, ret_filters);
        if (r != -ETIMEDOUT && r != -ESRCH)
                ptrace(PTRACE_DETACH, pid, NULL, (void *) (uintptr_t) signal);
        if (r < 0)
                filters_done(ret_filters);
        return r;
}

void filters_done(struct filters_seen *filters)
{
        for (unsigned i = 0; i < filters->n; i++)
                free(filters->filter[i].code);
        filters->n = 0;
}
