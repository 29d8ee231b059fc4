/*
 * preadv2() and pwritev2() with the offset -1: at the file's own position, which streams have not got.
 */
#include "stream.h"

#include <sys/uio.h>

ssize_t stream_read(int fd, void *to, size_t n)
{
        const struct iovec part = { to, n };

        return preadv2(fd, &part, 1, -1, 0);
}

ssize_t stream_write(int fd, const void *from, size_t n)
{
        const struct iovec part = { (void *) from, n };

        return pwritev2(fd, &part, 1, -1, 0);
}
