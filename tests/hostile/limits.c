/*
 * Each limit of the section [Limits], at its edge: within it all is well, beyond it happens what the manual page says.
 * Those of a device do nothing to its neighbour, and a new connection is served again.
 */
#include "neighbour.h"

#include "array.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where processes must have been made within a limit, it is long enough for a busy host. */
enum { SHORT_MS = 300, LATER_MS = 3 * SHORT_MS, LONG_MS = 3000 };

static struct fe_conn connect_to(const struct rig *rig)
{
        struct fe_conn conn;

        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &conn));
        return conn;
}

/* It ends, and not before its time since `from`, when nothing had begun yet. */
static void ends_in_time(struct fe_conn *conn, long long from, int limit_ms)
{
        OK(fe_gone(conn));
        ck_assert_int_ge((fe_now_ns() - from) / 1000000, limit_ms - 1);
        fe_close(conn);
}

/* It does not end: what would end it has had its time. */
static void goes_on_for(struct fe_conn *conn, int ms)
{
        conn->timeout_ms = ms;
        FAILS(-ETIMEDOUT, fe_gone(conn));
        conn->timeout_ms = FE_TIMEOUT_MS;
        rig_quiet(conn);
        fe_close(conn);
}

static void goes_on(struct fe_conn *conn)
{
        goes_on_for(conn, LATER_MS);
}

START_TEST(handshake)
{
        RIG_WITH(rig, .neighbour = true, .set = { "limits.handshakems=300" });
        struct neighbour n = neighbour_move_in(&rig);
        long long from = fe_now_ns();
        struct fe_conn conn = connect_to(&rig);

        ends_in_time(&conn, from, SHORT_MS);
        conn = connect_to(&rig);
        rig_quiet(&conn);
        goes_on(&conn);
        OK(prog_log_wait(&rig.prog, 0, "the front-end says nothing: ETIMEDOUT", FE_TIMEOUT_MS));
        neighbour_ending(&rig, &n);
}
END_TEST

START_TEST(no_handshake_limit)
{
        RIG_WITH(rig, .neighbour = true, .set = { "limits.handshakems=0" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = connect_to(&rig);

        goes_on(&conn);
        neighbour_ending(&rig, &n);
}
END_TEST

/* Asks and asks, and never says anything itself. */
START_TEST(setup)
{
        RIG_WITH(rig, .neighbour = true, .set = { "limits.setupms=3000" });
        struct neighbour n = neighbour_move_in(&rig);
        long long from = fe_now_ns();
        struct fe_conn conn = connect_to(&rig);
        uint64_t features;

        while (fe_get_features(&conn, &features) == 0)
                ck_assert_int_lt((fe_now_ns() - from) / 1000000, LONG_MS + FE_TIMEOUT_MS);
        ck_assert_int_ge((fe_now_ns() - from) / 1000000, LONG_MS - 1);
        fe_close(&conn);
        OK(prog_log_wait(&rig.prog, 0, "the front-end negotiates nothing: ETIMEDOUT", FE_TIMEOUT_MS));
        neighbour_ending(&rig, &n);
}
END_TEST

/* The first words of front-ends whose guests have not started yet. */
static void only_owner(struct fe_conn *conn)
{
        OK(fe_set_owner(conn));
}

static void only_protocol_features(struct fe_conn *conn)
{
        uint64_t features;

        OK(fe_get_protocol_features(conn, &features));
        OK(fe_set_protocol_features(conn, features));
}

static void only_features(struct fe_conn *conn)
{
        OK(fe_set_features(conn, VIRTIO_BIT(VIRTIO_F_VERSION_1)));
}

/* Side by side, for the limit is long: each behind a broker of its own. */
START_TEST(setup_is_over)
{
        static void (*const words[])(struct fe_conn *conn) = { only_owner, only_protocol_features, only_features };
        struct fe_conn conn[ARRAY_SIZE(words)];
        struct rig rig[ARRAY_SIZE(words)];
        int status;

        for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
                rig[i] = rig_start((struct rig_options){ .set = { "limits.setupms=3000" } });
        for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
                conn[i] = connect_to(&rig[i]);
                words[i](&conn[i]);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
                goes_on_for(&conn[i], i ? SHORT_MS : LONG_MS + SHORT_MS);
        for (unsigned i = 1; i < ARRAY_SIZE(words); i++) { /* the first one is stopped last: that waits for all */
                ck_assert_int_eq(kill(rig[i].prog.pid, SIGTERM), 0);
                OK(prog_end(&rig[i].prog, FE_TIMEOUT_MS, &status));
                ck_assert_int_eq(status, 0);
                prog_done(&rig[i].prog);
        }
        rig_stop(&rig[0]);
}
END_TEST

START_TEST(partial_message)
{
        static const struct vu_header header = { VU_SET_FEATURES, VU_VERSION, 8 };
        RIG_WITH(rig, .neighbour = true, .set = { "limits.partialmessagems=300" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);
        long long from = fe_now_ns();

        OK(fe_send_raw(&conn, &header, sizeof(header), NULL, 0));
        ends_in_time(&conn, from, SHORT_MS);
        OK(prog_log_wait(&rig.prog, 0, "a message was begun and not ended: ETIMEDOUT", FE_TIMEOUT_MS));
        neighbour_ending(&rig, &n);
}
END_TEST

START_TEST(message_in_parts)
{
        static const struct vu_header header = { VU_SET_FEATURES, VU_VERSION, 8 };
        RIG_WITH(rig, .set = { "limits.partialmessagems=2000" });
        struct fe_conn conn = rig_connect(&rig);
        uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1);

        OK(fe_send_raw(&conn, &header, sizeof(header), NULL, 0));
        OK(fe_send_raw(&conn, &features, sizeof(features), NULL, 0));
        goes_on_for(&conn, 2500); /* longer than a message may take */
}
END_TEST

/* A byte at a time: each comes soon, the last one too late. */
START_TEST(dribbled_message)
{
        static const uint8_t zeros[512];
        static const struct vu_header header = { VU_SET_FEATURES, VU_VERSION, sizeof(zeros) };
        RIG_WITH(rig, .neighbour = true, .set = { "limits.partialmessagems=300" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);
        long long from = fe_now_ns();
        int r = fe_send_raw(&conn, &header, sizeof(header), NULL, 0);

        conn.timeout_ms = 10;
        for (unsigned i = 0; !r && i < sizeof(zeros); i++) {
                struct fe_reply reply;

                r = fe_send_raw(&conn, &zeros[i], 1, NULL, 0);
                if (!r && fe_recv(&conn, &reply) != -ETIMEDOUT)
                        r = -ECONNRESET;
        }
        ck_assert_int_ne(r, 0);
        ck_assert_int_ge((fe_now_ns() - from) / 1000000, SHORT_MS - 1);
        fe_close(&conn);
        OK(prog_log_wait(&rig.prog, 0, "a message was begun and not ended: ETIMEDOUT", FE_TIMEOUT_MS));
        neighbour_ending(&rig, &n);
}
END_TEST

/* The replies that nobody takes fill the socket; then the session waits, but not for long. */
START_TEST(reply)
{
        RIG_WITH(rig, .neighbour = true, .set = { "limits.replyms=300", "limits.messagesburst=1000000" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);
        int r = 0;

        conn.timeout_ms = FE_TIMEOUT_MS; /* until the session has gone */
        for (unsigned i = 0; i < 100000 && !r; i++)
                r = fe_send(&conn, VU_GET_FEATURES, NULL, 0);
        ck_assert(r == -EPIPE || r == -ECONNRESET);
        OK(prog_log_wait(&rig.prog, 0, "the front-end does not take its reply: ETIMEDOUT", FE_TIMEOUT_MS));
        fe_close(&conn);
        neighbour_ending(&rig, &n);
}
END_TEST

START_TEST(hold)
{
        RIG_WITH(rig, .neighbour = true, .hold_ms = 3000);
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn first = rig_connect(&rig), second;
        long long from = fe_now_ns();

        second = connect_to(&rig);
        ends_in_time(&second, from, LONG_MS);
        OK(prog_log_wait(&rig.prog, 0, "still has the device: EBUSY", FE_TIMEOUT_MS));
        second = connect_to(&rig);
        rig_quiet(&first);
        fe_close(&first);
        rig_quiet(&second); /* soon enough */
        fe_close(&second);
        neighbour_ending(&rig, &n);
}
END_TEST

START_TEST(connections)
{
        enum { PER_S = 20, AT_ONCE = 2 * PER_S, MORE = 10, WARM_UP = 1 };
        RIG_WITH(rig, .neighbour = true, .set = { "limits.connectionspersecond=20" });
        struct neighbour n = neighbour_move_in(&rig);
        long long from = fe_now_ns();

        for (unsigned i = 0; i < AT_ONCE + MORE; i++) {
                struct fe_conn conn = connect_to(&rig);

                rig_quiet(&conn); /* none is lost */
                fe_close(&conn);
        }
        ck_assert_int_ge((fe_now_ns() - from) / 1000000, (MORE - WARM_UP) * 1000 / PER_S / 2);
        neighbour_ending(&rig, &n);
}
END_TEST

START_TEST(messages)
{
        enum { PER_S = 100, AT_ONCE = 50, ALL = 120 };
        RIG_WITH(rig, .neighbour = true, .set = { "limits.messagespersecond=100", "limits.messagesburst=50" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);
        long long from = fe_now_ns();

        for (unsigned i = 0; i < ALL; i++)
                rig_quiet(&conn);
        ck_assert_int_ge((fe_now_ns() - from) / 1000000, (ALL - AT_ONCE) * 1000 / PER_S - 100);
        fe_close(&conn);
        neighbour_ending(&rig, &n);
}
END_TEST

static int add(struct fe_conn *conn, unsigned index, uint64_t size, int fd)
{
        struct vu_region region = { .gpa = index * size, .uva = index * size, .size = size };

        return fe_add_mem_reg(conn, &region, fd);
}

START_TEST(regions)
{
        RIG_WITH(rig, .neighbour = true, .set = { "limits.memoryregions=9" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);
        int fd = memfd_create("m", MFD_CLOEXEC);
        uint64_t slots;

        ck_assert_int_eq(ftruncate(fd, 65536), 0);
        OK(fe_get_max_mem_slots(&conn, &slots));
        ck_assert_uint_eq(slots, 9);
        for (unsigned i = 0; i < 9; i++)
                OK(add(&conn, i, 4096, fd));
        FAILS(-EREMOTEIO, add(&conn, 9, 4096, fd));
        OK(prog_log_wait(&rig.prog, 0, "all 9 slots are in use: ENOSPC", FE_TIMEOUT_MS));
        rig_quiet(&conn);
        close(fd);
        fe_close(&conn);
        neighbour_ending(&rig, &n);
}
END_TEST

START_TEST(memory)
{
        RIG_WITH(rig, .neighbour = true, .set = { "limits.memory=32M" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);
        int fd = memfd_create("m", MFD_CLOEXEC);

        ck_assert_int_eq(ftruncate(fd, 16 << 20), 0);
        OK(add(&conn, 0, 16 << 20, fd));
        OK(add(&conn, 1, 16 << 20, fd));
        FAILS(-EREMOTEIO, add(&conn, 100000, 4096, fd));
        OK(prog_log_wait(&rig.prog, 0, "too much memory: ENOMEM", FE_TIMEOUT_MS));
        rig_quiet(&conn);
        close(fd);
        fe_close(&conn);
        neighbour_ending(&rig, &n);
}
END_TEST

START_TEST(log_lines)
{
        enum { PER_S = 2, TRIES = 200 };
        RIG_WITH(rig, .neighbour = true, .set = { "limits.loglinespersecond=2" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);
        long long from = fe_now_ns();
        unsigned lines = 0;

        for (unsigned i = 0; i < TRIES; i++)
                FAILS(-EREMOTEIO, fe_set_vring_num(&conn, 0, 3));
        OK(prog_log_wait(&rig.prog, 0, "SET_VRING_NUM", FE_TIMEOUT_MS));
        for (const char *at = rig.prog.log; (at = strstr(at, "SET_VRING_NUM")); at++)
                lines++;
        ck_assert_uint_le(lines, 2 * PER_S + 1 + (unsigned) ((fe_now_ns() - from) / 1000000000 * PER_S));
        fe_close(&conn);
        neighbour_ending(&rig, &n);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("limits");
        TCase *c = tcase_create("limits");

        tcase_set_timeout(c, 60);
        tcase_add_test(c, handshake);
        tcase_add_test(c, no_handshake_limit);
        tcase_add_test(c, setup);
        tcase_add_test(c, setup_is_over);
        tcase_add_test(c, partial_message);
        tcase_add_test(c, message_in_parts);
        tcase_add_test(c, dribbled_message);
        tcase_add_test(c, reply);
        tcase_add_test(c, hold);
        tcase_add_test(c, connections);
        tcase_add_test(c, messages);
        tcase_add_test(c, regions);
        tcase_add_test(c, memory);
        tcase_add_test(c, log_lines);
        suite_add_tcase(s, c);
        return rig_main(s);
}
