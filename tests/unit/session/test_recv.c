/*
 * Framing: parts, descriptors, boundaries, and headers that lie.
 */
#include "rig.h"

#include "array.h"
#include "vu_recv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream {
        int in, out;
        struct vu_msg *msg;
};

static void stream_init(struct stream *stream)
{
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        stream->in = pair[0];
        stream->out = pair[1];
        stream->msg = calloc(1, sizeof(*stream->msg));
}

static void stream_done(struct stream *stream)
{
        vu_msg_done(stream->msg);
        free(stream->msg);
        close(stream->in);
        if (stream->out >= 0)
                close(stream->out);
}

static void put(struct stream *stream, const void *bytes, size_t n, unsigned n_fds)
{
        struct iovec part = { (void *) bytes, n };
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(64 * sizeof(int))];
        } control = { 0 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

        if (n_fds) {
                control.item = (struct cmsghdr){ .cmsg_len = CMSG_LEN(n_fds * sizeof(int)), .cmsg_level = SOL_SOCKET,
                                                 .cmsg_type = SCM_RIGHTS };
                for (unsigned i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(&control.item) + i * sizeof(int), &stream->in, sizeof(int));
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        }
        ck_assert_int_eq(sendmsg(stream->out, &message, 0), (int) n);
}

struct wire {
        struct vu_header header;
        uint64_t value;
} __attribute__((packed));

static struct wire wire_of(uint32_t request, uint64_t value)
{
        return (struct wire){ { request, VU_VERSION, 8 }, value };
}

START_TEST(takes_a_message_byte_by_byte)
{
        struct wire wire = wire_of(VU_SET_FEATURES, 0x1122334455667788);
        struct stream stream;

        stream_init(&stream);
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), -EAGAIN);
        for (size_t i = 0; i < sizeof(wire); i++) {
                put(&stream, (char *) &wire + i, 1, 0);
                ck_assert_int_eq(vu_recv(stream.in, stream.msg), i + 1 < sizeof(wire) ? -EAGAIN : 0);
        }
        ck_assert_uint_eq(stream.msg->header.request, VU_SET_FEATURES);
        ck_assert_uint_eq(stream.msg->u64, wire.value);
        stream_done(&stream);
}
END_TEST

START_TEST(keeps_the_boundary_between_messages)
{
        struct wire two[] = { wire_of(VU_SET_FEATURES, 1), wire_of(VU_SET_VRING_KICK, 2) };
        struct stream stream;

        stream_init(&stream);
        put(&stream, &two[0], sizeof(two[0]), 0);
        put(&stream, &two[1], sizeof(two[1]), 1);
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), 0);
        ck_assert_uint_eq(stream.msg->u64, 1);
        ck_assert_uint_eq(stream.msg->n_fds, 0);
        vu_msg_done(stream.msg);
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), 0);
        ck_assert_uint_eq(stream.msg->u64, 2);
        ck_assert_uint_eq(stream.msg->n_fds, 1);
        ck_assert_int_eq(fcntl(stream.msg->fd[0].num, F_GETFD), FD_CLOEXEC);
        stream_done(&stream);
}
END_TEST

START_TEST(takes_fds_with_the_first_byte)
{
        struct wire wire = wire_of(VU_SET_VRING_KICK, 0);
        struct stream stream;

        stream_init(&stream);
        put(&stream, &wire, 1, 1);
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), -EAGAIN);
        ck_assert_uint_eq(stream.msg->n_fds, 1);
        put(&stream, (char *) &wire + 1, sizeof(wire) - 1, 0);
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), 0);
        ck_assert_uint_eq(stream.msg->n_fds, 1);
        stream_done(&stream);
}
END_TEST

START_TEST(sees_more_fds_than_are_legal)
{
        struct wire wire = wire_of(VU_SET_MEM_TABLE, 0);
        struct stream stream;

        stream_init(&stream);
        put(&stream, &wire, sizeof(wire), VU_FDS_ROOM);
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), 0);
        ck_assert_uint_eq(stream.msg->n_fds, VU_FDS_ROOM);
        vu_msg_done(stream.msg);
        put(&stream, &wire, sizeof(wire), VU_FDS_ROOM + 1); /* truncated */
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), -EMFILE);
        vu_msg_done(stream.msg);
        stream_done(&stream);
}
END_TEST

START_TEST(counts_fds_over_all_parts)
{
        struct wire wire = wire_of(VU_SET_MEM_TABLE, 0);
        struct stream stream;

        stream_init(&stream);
        put(&stream, &wire, 4, 10);
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), -EAGAIN);
        put(&stream, (char *) &wire + 4, 4, 10);
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), -EMFILE);
        stream_done(&stream);
}
END_TEST

START_TEST(refuses_headers_that_lie)
{
        static const struct {
                uint32_t flags, size;
                int error;
        } cases[] = {
                { 0, 8, -EPROTONOSUPPORT },
                { 2, 8, -EPROTONOSUPPORT },
                { 3, 8, -EPROTONOSUPPORT },
                { VU_VERSION | VU_FLAG_REPLY, 8, -EPROTO },
                { VU_VERSION | 0x10, 8, -EPROTO },
                { VU_VERSION | 0x80000000, 8, -EPROTO },
                { VU_VERSION, VU_PAYLOAD_MAX + 1, -EMSGSIZE },
                { VU_VERSION, UINT32_MAX, -EMSGSIZE },
                { VU_VERSION, 8, 0 },
                { VU_VERSION | VU_FLAG_NEED_REPLY, 8, 0 },
        };

        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
                struct wire wire = { { VU_SET_FEATURES, cases[i].flags, cases[i].size }, 0 };
                struct stream stream;

                stream_init(&stream);
                put(&stream, &wire, sizeof(wire), 0);
                ck_assert_int_eq(vu_recv(stream.in, stream.msg), cases[i].error);
                stream_done(&stream);
        }
}
END_TEST

START_TEST(takes_the_largest_payload)
{
        struct vu_header header = { VU_SET_CONFIG, VU_VERSION, VU_PAYLOAD_MAX };
        char payload[VU_PAYLOAD_MAX];
        struct stream stream;

        stream_init(&stream);
        memset(payload, 'x', sizeof(payload));
        put(&stream, &header, sizeof(header), 0);
        put(&stream, payload, sizeof(payload), 0);
        ck_assert_int_eq(vu_recv(stream.in, stream.msg), 0);
        ck_assert_mem_eq(stream.msg->bytes, payload, sizeof(payload));
        stream_done(&stream);
}
END_TEST

START_TEST(tells_an_end_from_a_broken_message)
{
        struct wire wire = wire_of(VU_SET_FEATURES, 1);

        for (size_t n = 0; n < sizeof(wire); n++) {
                struct stream stream;

                stream_init(&stream);
                if (n)
                        put(&stream, &wire, n, 0);
                close(stream.out);
                stream.out = -1;
                ck_assert_int_eq(vu_recv(stream.in, stream.msg), n ? -EPIPE : -ENODATA);
                stream_done(&stream);
        }
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = {
                &takes_a_message_byte_by_byte, &keeps_the_boundary_between_messages, &takes_fds_with_the_first_byte,
                &sees_more_fds_than_are_legal, &counts_fds_over_all_parts,           &refuses_headers_that_lie,
                &takes_the_largest_payload,    &tells_an_end_from_a_broken_message,
        };

        return rig_main("vu_recv", tests, ARRAY_SIZE(tests));
}
