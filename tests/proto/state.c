/*
 * Transfer of the device's own state (protocol facts, 5.6).
 */
#include "rig.h"

#include "array.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WRITEBACK = offsetof(struct virtio_blk_config, writeback), ROOM = 4096 };

static uint64_t set_fd(struct fe_conn *conn, uint32_t direction, uint32_t phase, int fd)
{
        const struct vu_device_state what = { direction, phase };
        struct fe_reply reply;

        OK(fe_send_flags(conn, VU_SET_DEVICE_STATE_FD, VU_VERSION, &what, sizeof(what), &fd, fd >= 0));
        OK(fe_recv_reply(conn, VU_SET_DEVICE_STATE_FD, &reply));
        ck_assert_uint_eq(reply.header.size, 8);
        ck_assert_uint_eq(reply.n_fds, 0);
        return reply.u64;
}

static uint64_t check(struct fe_conn *conn)
{
        uint64_t value;

        OK(fe_get_u64(conn, VU_CHECK_DEVICE_STATE, &value));
        return value;
}

/* QEMU brings a pipe, cloud-hypervisor a pair of sockets. */
static void make_way(bool sockets, int ends[2])
{
        ck_assert_int_eq(sockets ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC), 0);
}

/* The back-end's copy of its end is the only one left: it ends with it. */
static size_t save(struct fe_conn *conn, bool sockets, uint8_t *to)
{
        size_t n = 0;
        ssize_t got;
        int ends[2];

        make_way(sockets, ends);
        ck_assert_uint_eq(set_fd(conn, VU_STATE_SAVE, 0, ends[1]), VU_STATE_NOFD);
        close(ends[1]);
        while ((got = read(ends[0], to + n, ROOM - n)) > 0)
                n += (size_t) got;
        ck_assert_int_eq(got, 0);
        ck_assert_uint_eq(check(conn), 0);
        close(ends[0]);
        return n;
}

static uint64_t load(struct fe_conn *conn, bool sockets, const uint8_t *from, size_t n)
{
        int ends[2];

        make_way(sockets, ends);
        ck_assert_uint_eq(set_fd(conn, VU_STATE_LOAD, 0, ends[0]), VU_STATE_NOFD);
        close(ends[0]);
        for (size_t at = 0; at < n; at += 7) { /* it comes as it comes */
                size_t part = n - at < 7 ? n - at : 7;

                if (write(ends[1], from + at, part) < 0)
                        break; /* too much of it */
        }
        close(ends[1]);
        return check(conn);
}

static uint8_t writeback(struct fe_conn *conn)
{
        uint8_t byte;

        OK(fe_get_config(conn, WRITEBACK, &byte, 1));
        return byte;
}

START_TEST(moves_to_another_back_end)
{
        uint8_t state[ROOM], off = 0;
        RIG_WITH(rig, .engine = "sync");
        struct fe_conn conn = rig_connect(&rig);
        size_t n;

        OK(fe_set_config(&conn, WRITEBACK, &off, 1, 0));
        n = save(&conn, _i, state);
        ck_assert_uint_gt(n, WRITEBACK);
        ck_assert_uint_eq(save(&conn, !_i, state), n);
        fe_close(&conn);
        rig_await_idle(&rig);

        conn = rig_connect(&rig);
        ck_assert_uint_eq(writeback(&conn), 1);
        ck_assert_uint_eq(load(&conn, _i, state, n), 0);
        ck_assert_uint_eq(writeback(&conn), 0);
        fe_close(&conn);
}
END_TEST

/* A guest that restarts finds what its front-end remembers, and that is in force. */
START_TEST(a_reset_keeps_the_writeback_byte)
{
        uint8_t state[ROOM], off = 0;
        RIG_WITH(rig, .engine = "sync");
        struct fe_conn conn = rig_connect(&rig);

        OK(fe_set_config(&conn, WRITEBACK, &off, 1, 0));
        OK(fe_reset_device(&conn));
        ck_assert_uint_eq(writeback(&conn), 0);
        ck_assert_uint_gt(save(&conn, false, state), 16 + WRITEBACK);
        ck_assert_uint_eq(state[16 + WRITEBACK], 0);
        fe_close(&conn);
}
END_TEST

/* Not one byte of a wrong state is taken over. */
START_TEST(refuses_another_state)
{
        uint8_t state[ROOM] = { 0 }, off = 0;
        RIG_WITH(rig, .engine = "sync");
        struct fe_conn conn = rig_connect(&rig);
        size_t n;

        OK(fe_set_config(&conn, WRITEBACK, &off, 1, 0));
        n = save(&conn, false, state);
        state[16 + WRITEBACK] = 1;
        for (size_t cut = 0; cut < n; cut += 9)
                ck_assert_uint_ne(load(&conn, false, state, cut), 0);
        ck_assert_uint_ne(load(&conn, false, state, n + 1), 0);
        ck_assert_uint_ne(load(&conn, false, state, ROOM), 0);
        for (size_t i = 0; i < n; i += 3) {
                if (i == 16 + WRITEBACK)
                        continue;
                state[i] ^= 0x40;
                ck_assert_msg(load(&conn, false, state, n) != 0, "byte %zu", i);
                state[i] ^= 0x40;
        }
        ck_assert_uint_eq(writeback(&conn), 0);
        ck_assert_uint_eq(load(&conn, false, state, n), 0);
        ck_assert_uint_eq(writeback(&conn), 1);
        fe_close(&conn);
}
END_TEST

START_TEST(refuses_what_is_no_transfer)
{
        static const struct vu_device_state bad[] = { { 2, 0 }, { 0, 1 }, { UINT32_MAX, UINT32_MAX } };
        const uint64_t refused = VU_STATE_NOFD | VU_STATE_ERROR;
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ 0 });
        struct fe_conn *conn = &device.conn;
        uint32_t base;
        int ends[2];

        make_way(false, ends);
        ck_assert_uint_ne(check(conn), 0); /* there was none */
        ck_assert_uint_eq(set_fd(conn, VU_STATE_SAVE, 0, ends[1]), refused); /* a vring runs */
        OK(fe_get_vring_base(conn, 0, &base));
        ck_assert_uint_eq(set_fd(conn, VU_STATE_SAVE, 0, -1), refused);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_uint_eq(set_fd(conn, bad[i].direction, bad[i].phase, ends[1]), refused);
        ck_assert_uint_eq(set_fd(conn, VU_STATE_LOAD, 0, ends[1]), VU_STATE_NOFD); /* an end that can't be read */
        ck_assert_uint_ne(check(conn), 0);
        ck_assert_uint_eq(set_fd(conn, VU_STATE_SAVE, 0, device.mem->part[0].fd.num), refused); /* never ready */
        close(ends[0]);
        ck_assert_uint_eq(set_fd(conn, VU_STATE_SAVE, 0, ends[1]), VU_STATE_NOFD); /* nobody reads */
        ck_assert_uint_ne(check(conn), 0);
        close(ends[1]);
        fe_device_drop(&device);
}
END_TEST

/* Whoever never writes waits for himself alone, and may leave. */
START_TEST(a_transfer_that_does_not_end)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        int ends[2];

        make_way(false, ends);
        ck_assert_uint_eq(set_fd(&conn, VU_STATE_LOAD, 0, ends[0]), VU_STATE_NOFD);
        ck_assert_uint_eq(set_fd(&conn, VU_STATE_LOAD, 0, ends[0]), VU_STATE_NOFD); /* begun anew */
        rig_quiet(&conn);
        OK(fe_send(&conn, VU_CHECK_DEVICE_STATE, NULL, 0));
        fe_close(&conn);
        rig_await_idle(&rig);
        close(ends[0]);
        close(ends[1]);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("proto: state");
        TCase *tcase = tcase_create("state");

        signal(SIGPIPE, SIG_IGN); /* a load may be over before all is written */
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, moves_to_another_back_end, 0, 2);
        tcase_add_test(tcase, a_reset_keeps_the_writeback_byte);
        tcase_add_test(tcase, refuses_another_state);
        tcase_add_test(tcase, refuses_what_is_no_transfer);
        tcase_add_test(tcase, a_transfer_that_does_not_end);
        suite_add_tcase(suite, tcase);
        return rig_main(suite);
}
