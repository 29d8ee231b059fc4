/*
 * The last close of a stranger's descriptor happens in a process that nobody waits for with work: it holds a copy
 * until the broker has closed its own, and then ends. If its end blocks, it blocks alone.
 */
#include "last_close.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Must keep nothing but the stranger's descriptor, so that whatever blocks it holds up nobody else's. */
static void __attribute__((noreturn)) hold(int stranger, int closed)
{
        dup2(closed, 0);
        dup2(stranger, 1);
        close_range(2, ~0U, 0);
        fd_await_byte(0);
        _exit(0);
}

int last_close_elsewhere(struct fd *stranger, struct fd *ret_pidfd)
{
        int closed[2];
        pid_t pid;
        int r = 0;

        if (pipe2(closed, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0) {
                close(closed[1]);
                hold(stranger->num, closed[0]);
        }
        close(closed[0]);
        if (pid < 0) {
                r = -errno;
        } else {
                fd_close(stranger);
                ret_pidfd->num = (int) syscall(SYS_pidfd_open, pid, 0);
                if (!fd_has(ret_pidfd))
                        r = -errno;
        }
        close(closed[1]);
        return r;
}
