/*
 * preadv2(2) and pwritev2(2), which not every C library has. As the manual pages say, -1 and errno included.
 */
#pragma once

#include <assert.h>
#include <linux/fs.h> /* RWF_* */
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static_assert(sizeof(long) == 8, "the offset goes in one register");

static inline ssize_t rw2_read(int fd, const struct iovec *parts, int n, off_t at, int flags)
{
        return syscall(SYS_preadv2, fd, parts, n, at, 0L, flags);
}

static inline ssize_t rw2_write(int fd, const struct iovec *parts, int n, off_t at, int flags)
{
        return syscall(SYS_pwritev2, fd, parts, n, at, 0L, flags);
}
