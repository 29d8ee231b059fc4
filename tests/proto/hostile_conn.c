/*
 * Hostile front-ends. What is wrong is said in the log, and each case ends in the same three looks: the device serves the
 * next connection, its neighbour behind the same broker has noticed nothing, and the broker has as many descriptors as
 * before (rig_stop).
 */
#include "neighbour.h"

#include "array.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t random_of(uint32_t *state)
{
        *state = *state * 1664525 + 1013904223;
        return *state >> 8;
}

enum { ATTACKER = 4 }; /* session; before it there were two of the rig's and the neighbour's */

/* All that was sent is read, whatever comes back, before the connection ends. */
static void leave(struct fe_conn *conn)
{
        struct fe_reply reply;
        int r;

        shutdown(conn->fd.num, SHUT_WR);
        while ((r = fe_recv(conn, &reply)) == 0)
                fe_reply_done(&reply);
        ck_assert_int_ne(r, -ETIMEDOUT);
        fe_close(conn);
}

/* Waits for the session's end; did it say that before? */
static bool said(struct rig *rig, unsigned session, const char *what)
{
        char end[64], start[64];

        snprintf(end, sizeof(end), "a: session %u: ended", session);
        snprintf(start, sizeof(start), "a: session %u: ", session);
        OK(prog_log_wait(&rig->prog, 0, end, FE_TIMEOUT_MS));
        for (const char *line = rig->prog.log; (line = strstr(line, start)); line++)
                if (memmem(line, strcspn(line, "\n"), what, strlen(what)))
                        return true;
        return false;
}

START_TEST(garbage)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        uint32_t state = 4711;
        uint8_t bytes[2048];

        for (unsigned round = 0; round < 30; round++) {
                const size_t bytes_sent = 1 + random_of(&state) % sizeof(bytes);
                struct fe_conn conn;

                for (unsigned i = 0; i < sizeof(bytes); i++)
                        bytes[i] = (uint8_t) random_of(&state);
                OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &conn));
                (void) fe_send_raw(&conn, bytes, bytes_sent, NULL, 0);
                leave(&conn);
                if (bytes_sent >= sizeof(struct vu_header))
                        ck_assert(said(&rig, ATTACKER + round, "no vhost-user message: "));
        }
        neighbour_look_in(&n);
        neighbour_ending(&rig, &n);
}
END_TEST

/* Well-formed frames of every number with any payload and any number of descriptors, acks asked for. */
START_TEST(random_messages)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        uint32_t state = 815 + (uint32_t) _i;
        uint8_t payload[512];
        int fds[8];

        for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
                fds[i] = i & 1 ? eventfd(0, EFD_CLOEXEC) : memfd_create("x", MFD_CLOEXEC);
        for (unsigned round = 0; round < 10; round++) {
                struct fe_conn conn = rig_connect(&rig);
                int r = 0;

                for (unsigned i = 0; i < 300 && !r; i++) {
                        uint32_t size = random_of(&state) % 3 ? 8 : random_of(&state) % sizeof(payload);

                        for (unsigned k = 0; k < size; k++)
                                payload[k] = (uint8_t) (random_of(&state) % 4 ? 0 : random_of(&state));
                        r = fe_send_flags(&conn, random_of(&state) % 50, 9, payload, size, fds, random_of(&state) % 9);
                }
                leave(&conn);
                ck_assert(said(&rig, ATTACKER + round, ": E")); /* the name of an error */
        }
        for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
                close(fds[i]);
        neighbour_ending(&rig, &n);
}
END_TEST

/* More descriptors than any message may carry, up to what the kernel lets through at once, with every byte. */
START_TEST(too_many_fds)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        struct vu_header header = { VU_SET_OWNER, VU_VERSION | VU_FLAG_NEED_REPLY, 0 };
        int fds[FE_SEND_FDS_MAX];
        int event = eventfd(0, EFD_CLOEXEC);
        unsigned session = ATTACKER;

        for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
                fds[i] = event;
        for (unsigned count = 9; count <= FE_SEND_FDS_MAX; count += 61) {
                struct fe_conn conn = rig_connect(&rig);

                (void) fe_send_raw(&conn, &header, sizeof(header), fds, count);
                (void) fe_recv_ack(&conn, VU_SET_OWNER); /* refused or closed */
                leave(&conn);
                ck_assert(said(&rig, session++, count == 9 ? "SET_OWNER: 9 descriptors: EBADMSG" : "EMFILE"));
                conn = rig_connect(&rig);
                for (unsigned i = 0; i < sizeof(header); i++)
                        (void) fe_send_raw(&conn, (char *) &header + i, 1, fds, count);
                leave(&conn);
                ck_assert(said(&rig, session++, "EMFILE"));
        }
        close(event);
        neighbour_ending(&rig, &n);
}
END_TEST

/* A connection that says nothing, and one that stops in the middle, are given up and do not keep the next waiting. */
START_TEST(silent_client)
{
        static const struct vu_header header = { VU_SET_FEATURES, VU_VERSION, 8 };
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn;

        OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &conn));
        if (_i)
                OK(fe_send_raw(&conn, &header, _i, NULL, 0));
        conn.timeout_ms = 40000;
        OK(fe_gone(&conn));
        fe_close(&conn);
        ck_assert(said(&rig, ATTACKER, _i ? "a message was begun and not ended" : "the front-end says nothing"));
        neighbour_ending(&rig, &n);
}
END_TEST

/* Asks without ever reading the answers. */
START_TEST(client_that_never_reads)
{
        RIG_WITH(rig, .neighbour = true, .set = { "limits.replyms=60000" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);

        conn.timeout_ms = 3000; /* until nobody takes any more: that is the point */
        for (unsigned i = 0; i < 100000; i++)
                if (fe_send(&conn, VU_GET_FEATURES, NULL, 0))
                        break;
        neighbour_look_in(&n);
        fe_close(&conn);
        ck_assert(said(&rig, ATTACKER, "the front-end has left without its reply"));
        neighbour_ending(&rig, &n);
}
END_TEST

/* Memory that shrinks under the worker: SIGBUS, and only there. */
START_TEST(truncated_memory)
{
        RIG_WITH(rig, .neighbour = true, .engine = _i ? "sync" : "uring");
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct drv_vring *v = device.vring[0];

        rig_read_one(&rig, &blk);
        ck_assert_int_eq(ftruncate(device.mem->part[0].fd.num, 0), 0);
        (void) !eventfd_write(v->kick.num, 1);
        OK(fe_gone(&device.conn));
        ck_assert(said(&rig, ATTACKER, "the worker has ended"));
        drv_blk_done(&blk);
        fe_device_drop(&device);
        neighbour_ending(&rig, &n);
}
END_TEST

/* Descriptors that are not what they should be. */
START_TEST(odd_fds)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });
        struct drv_blk well = rig_blk(&device, 1);
        int odd[4], pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
        odd[0] = open("/dev/zero", O_RDWR | O_CLOEXEC);
        odd[1] = pair[0];
        odd[2] = open("/", O_PATH | O_CLOEXEC);
        odd[3] = memfd_create("x", MFD_CLOEXEC);
        for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
                int r = 0;

                for (uint32_t request = VU_SET_VRING_KICK; request <= VU_SET_VRING_ERR; request++) {
                        r = fe_set_vring_fd(&device.conn, request, 0, odd[i]);
                        ck_assert_msg(!r || r == -EREMOTEIO, "fd %u, request %u: %s", i, request, log_errno(r));
                }
                rig_read_one(&rig, &well); /* the other queue of the same device goes on */
        }
        for (unsigned i = 0; i < ARRAY_SIZE(odd); i++)
                close(odd[i]);
        close(pair[1]);
        drv_blk_done(&well);
        fe_device_drop(&device);
        ck_assert(said(&rig, ATTACKER, "SET_VRING_KICK: refused by the worker (VRING_FD): EPERM"));
        ck_assert(said(&rig, ATTACKER, "SET_VRING_CALL: refused by the worker (VRING_FD): EBADF"));
        neighbour_ending(&rig, &n);
}
END_TEST

START_TEST(connects_and_leaves)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);

        for (unsigned i = 0; i < 50; i++) {
                struct fe_conn conn;

                OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &conn));
                if (i & 1)
                        (void) fe_send(&conn, VU_GET_FEATURES, NULL, 0);
                fe_close(&conn);
        }
        neighbour_ending(&rig, &n);
}
END_TEST

/* Changes everything at once, over and over, without waiting for an answer, while requests run. */
START_TEST(storm)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 4 });
        struct fe_conn *conn = &device.conn;
        struct drv_blk blk[4];
        uint32_t state = 99;

        conn->need_reply = false;
        for (unsigned q = 0; q < 4; q++)
                OK(drv_blk_init(&blk[q], device.vring[q], 0, 16, 4096));
        for (unsigned i = 0; i < 2000; i++) {
                unsigned q = random_of(&state) % 4;
                struct drv_blk_req *req = drv_blk_slot(&blk[q]);

                if (req && !drv_blk_submit(&blk[q], req, VIRTIO_BLK_T_IN, random_of(&state) % 30000, 4096))
                        drv_kick_anyway(device.vring[q]);
                (void) drv_blk_reap(&blk[q], &req);
                if (i % 3 == 0)
                        (void) fe_set_vring_enable(conn, q, random_of(&state) & 1);
                else if (i % 3 == 1)
                        (void) fe_set_vring_fd(conn, VU_SET_VRING_CALL, q, device.vring[q]->call.num);
                else
                        (void) fe_set_vring_fd(conn, VU_SET_VRING_KICK, q, device.vring[q]->kick.num);
        }
        neighbour_look_in(&n);
        for (unsigned q = 0; q < 4; q++)
                drv_blk_done(&blk[q]);
        fe_device_drop(&device);
        ck_assert(said(&rig, ATTACKER, "the front-end has left"));
        neighbour_ending(&rig, &n);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("hostile_conn");
        TCase *c = tcase_create("hostile_conn");

        tcase_set_timeout(c, 120);
        tcase_add_test(c, garbage);
        tcase_add_loop_test(c, random_messages, 0, 3);
        tcase_add_test(c, too_many_fds);
        tcase_add_test(c, client_that_never_reads);
        tcase_add_loop_test(c, truncated_memory, 0, 2);
        tcase_add_test(c, odd_fds);
        tcase_add_test(c, connects_and_leaves);
        tcase_add_test(c, storm);
        tcase_add_loop_test(c, silent_client, 0, 2);
        suite_add_tcase(s, c);
        return rig_main(s);
}
