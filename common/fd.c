/*
 * Owned file descriptors: the only place that closes.
 */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void fd_close(struct fd *fd)
{
        int saved = errno;

        if (fd->num >= 0)
                close(fd->num);
        fd->num = -1;
        errno = saved;
}

void fd_close_all(struct fd *fds, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                fd_close(&fds[i]);
}

struct fd fd_take(struct fd *from)
{
        struct fd taken = *from;

        from->num = -1;
        return taken;
}

int fd_dup(int fd, struct fd *ret_fd)
{
        int num = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (num < 0)
                return -errno;
        ret_fd->num = num;
        return 0;
}

int fd_nonblock(int fd, bool on)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return -errno;
        flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
        return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

bool fd_await_byte(int fd)
{
        ssize_t got;
        char byte;

        while ((got = read(fd, &byte, 1)) < 0 && errno == EINTR)
                ;
        return got == 1;
}
