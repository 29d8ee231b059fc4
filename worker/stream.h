/*
 * Reading and writing what has no position: eventfds, pipes, sockets. By the calls that disks need anyway, so that the
 * filter of no engine must know two pairs.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* As read(2) and write(2): bytes, or -1 with errno. */
ssize_t stream_read(int fd, void *to, size_t n);
ssize_t stream_write(int fd, const void *from, size_t n);
