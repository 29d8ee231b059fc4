/*
 * Owned file descriptors.  A `struct fd` is closed exactly once by whoever holds it; a plain `int` is borrowed.
 */
#pragma once

#include <stdbool.h>

struct fd {
        int num; /* -1: none */
};

#define FD_NONE ((struct fd){ -1 })
#define AUTO_FD __attribute__((cleanup(fd_close))) struct fd

/* Closes it if there is one and leaves FD_NONE behind. Never fails, keeps errno. */
void fd_close(struct fd *fd);

/* Closes n of them. */
void fd_close_all(struct fd *fds, unsigned n);

/* Moves it out and leaves FD_NONE behind; the caller owns the result. */
struct fd fd_take(struct fd *from);

/* A new descriptor of the same open file, CLOEXEC and above 2; the caller owns it. -errno. */
int fd_dup(int fd, struct fd *ret_fd);

/* Is there one? */
static inline bool fd_has(const struct fd *fd)
{
        return fd->num >= 0;
}

/* Waits for one byte and takes it. False: who was to write it has hung up. */
bool fd_await_byte(int fd);

/* Sets or clears O_NONBLOCK on the open file. -errno. */
int fd_nonblock(int fd, bool on);
