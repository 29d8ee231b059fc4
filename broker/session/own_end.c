/*
 * No call tells which two sockets are the ends of one connection. But an end that is shut down shows at the other one:
 * for reading, that one takes no more, not even nothing; for writing, that one has a reader's hang-up.
 *
 * A queue is read until it is empty, not looked into: MSG_PEEK passes over bytes out of band, which carry descriptors
 * too. That has an end, for a Unix socket that is shut down takes nothing in any more, and others carry no descriptors.
 */
#include "own_end.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

enum {
        PART = 4096,
        PARTS_MAX = 1024, /* more than a socket's messages at their smallest, with the kernel's limits */
};

static bool takes_nothing(int front)
{
        const struct msghdr nothing = { 0 };

        return sendmsg(front, &nothing, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE;
}

/* Only in a stream nothing is the end: a packet may be empty, and another one behind it. */
static int check_end(int fd)
{
        int type;
        socklen_t size = sizeof(type);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return -errno;
        return type == SOCK_STREAM ? 0 : -EPROTOTYPE;
}

/* What it had goes to nobody: there is no room for descriptors, so the kernel closes them. */
static int empty(int fd)
{
        for (unsigned i = 0; i < PARTS_MAX; i++) {
                char part[PART];
                struct iovec room = { part, sizeof(part) };
                struct msghdr message = { .msg_iov = &room, .msg_iovlen = 1 };
                ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);

                if (got == 0)
                        return check_end(fd);
                if (got < 0 && errno == EAGAIN)
                        return 0;
                if (got < 0 && errno != ECONNRESET) /* which is said once */
                        return -errno;
        }
        return -E2BIG;
}

int own_end_check(int front, int fd)
{
        if (shutdown(fd, SHUT_RD) < 0)
                return 0; /* no socket, or one that carries no descriptors */
        return takes_nothing(front) ? -ELOOP : empty(fd);
}

int own_end_check_source(int front, int fd)
{
        const struct timespec now = { 0 };
        struct pollfd other = { .fd = front, .events = POLLRDHUP };

        if (shutdown(fd, SHUT_WR) < 0)
                return 0;
        return ppoll(&other, 1, &now, NULL) > 0 && other.revents & POLLRDHUP ? -ELOOP : 0;
}
