/*
 * Sockets that have another one in their queue.
 */
#include "nesting.h"

#include "array.h"

#include <assert.h>
#include <check.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One message with a descriptor, which may have no bytes. */
static void put_in(int to, int flags, size_t n, int fd)
{
        char byte = 0;
        struct iovec part = { &byte, n };
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {
                .item = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}
        };
        struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };

        memcpy(CMSG_DATA(&control.item), &fd, sizeof(fd));
        ck_assert_int_eq(sendmsg(to, &message, flags), (ssize_t) n);
}

static struct fd pair_with(int type, int flags, size_t n, int fd)
{
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
        put_in(pair[0], flags, n, fd);
        close(pair[0]);
        return (struct fd){ pair[1] };
}

static struct fd with_bytes(int fd)
{
        return pair_with(SOCK_STREAM, 0, 1, fd);
}

static struct fd out_of_band(int fd)
{
        return pair_with(SOCK_STREAM, MSG_OOB, 1, fd);
}

/* The byte is read, its descriptor stays. */
static struct fd out_of_band_and_read(int fd)
{
        struct fd s = out_of_band(fd);
        char byte;

        ck_assert_int_eq(recv(s.num, &byte, 1, MSG_OOB), 1);
        return s;
}

static struct fd in_a_packet(int fd)
{
        return pair_with(SOCK_SEQPACKET, 0, 1, fd);
}

static struct fd in_an_empty_packet(int fd)
{
        return pair_with(SOCK_SEQPACKET, 0, 0, fd);
}

/* Behind another empty one. */
static struct fd in_the_second_packet(int fd)
{
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(send(pair[0], "", 0, 0), 0);
        put_in(pair[0], 0, 0, fd);
        close(pair[0]);
        return (struct fd){ pair[1] };
}

static struct fd in_a_datagram(int fd)
{
        return pair_with(SOCK_DGRAM, 0, 0, fd);
}

/* In the queue of a connection that nobody has accepted. */
static struct fd in_a_backlog(int fd)
{
        struct sockaddr_un at = { .sun_family = AF_UNIX };
        struct fd s = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        AUTO_FD connecting = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        socklen_t size = sizeof(at);

        /* The kernel chooses a name. */
        ck_assert_int_eq(bind(s.num, (struct sockaddr *) &at, sizeof(at.sun_family)), 0);
        ck_assert_int_eq(listen(s.num, 1), 0);
        ck_assert_int_eq(getsockname(s.num, (struct sockaddr *) &at, &size), 0);
        ck_assert_int_eq(connect(connecting.num, (struct sockaddr *) &at, size), 0);
        put_in(connecting.num, 0, 1, fd);
        return s;
}

struct fd nesting_of(unsigned i, int fd)
{
        static struct fd (*const kinds[])(int fd) = { with_bytes,    out_of_band,        out_of_band_and_read,
                                                      in_a_packet,   in_an_empty_packet, in_the_second_packet,
                                                      in_a_datagram, in_a_backlog };

        static_assert(ARRAY_SIZE(kinds) == NESTINGS, "kinds of nesting");
        return kinds[i](fd);
}
