/*
 * Connections that come while a device is taken, or that come too fast.
 */
#include "rig.h"

#include "control_packets.h"
#include "packet.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Says hello, without waiting for the answer. It may be refused before it has said anything. */
static struct fe_conn say_hello(const struct rig *rig)
{
        struct fe_conn conn;

        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &conn));
        (void) fe_send(&conn, VU_GET_FEATURES, NULL, 0);
        return conn;
}

static void hear(struct fe_conn *conn)
{
        struct fe_reply reply;

        OK(fe_recv(conn, &reply));
        ck_assert_uint_eq(reply.header.request, VU_GET_FEATURES);
        fe_reply_done(&reply);
}

START_TEST(one_waits_and_is_served_next)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct fe_conn next = say_hello(&rig);

        OK(fe_device_stop(&device));
        hear(&next);
        fe_close(&next);
}
END_TEST

START_TEST(the_third_is_refused)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct fe_conn next = say_hello(&rig), third = say_hello(&rig);
        struct fe_reply reply;

        ck_assert_int_lt(fe_recv(&third, &reply), 0);
        OK(prog_log_wait(&rig.prog, 0, "connection refused: one already waits", FE_TIMEOUT_MS));
        OK(fe_device_stop(&device));
        hear(&next);
        fe_close(&next);
        fe_close(&third);
}
END_TEST

/* The broker has answered twice, one event after the other: what had happened before, it has dealt with. */
static void await_its_turn(const struct rig *rig)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        AUTO_FD control = { socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) };

        memcpy(address.sun_path, rig->control, strlen(rig->control) + 1);
        ck_assert_int_eq(connect(control.num, (struct sockaddr *) &address, sizeof(address)), 0);
        for (unsigned i = 0; i < 2; i++) {
                struct packet answer;

                OK(packet_send(control.num, CONTROL_ASK_BROKER, i, NULL, 0, NULL, 0));
                OK(fe_poll(control.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
                OK(packet_recv(control.num, 0, &answer));
                ck_assert_uint_eq(answer.header.type, CONTROL_BROKER);
        }
}

/* A probe that came and went must not cost the front-end that really reconnects its place. */
START_TEST(who_hangs_up_loses_its_place)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct fe_conn gone = say_hello(&rig), refused = say_hello(&rig), next;
        struct fe_reply reply;

        ck_assert_int_lt(fe_recv(&refused, &reply), 0); /* so the one before it waits */
        fe_close(&refused);
        fe_close(&gone);
        await_its_turn(&rig);
        next = say_hello(&rig);
        OK(fe_device_stop(&device));
        hear(&next);
        fe_close(&next);
}
END_TEST

/* Refusals are told, but not thousands of times. */
START_TEST(refusals_do_not_flood_the_log)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct fe_conn next = say_hello(&rig);
        long long from = fe_now_ns();
        unsigned lines = 0, seconds;

        for (unsigned i = 0; i < 150; i++) {
                struct fe_conn extra = say_hello(&rig);
                struct fe_reply reply;

                ck_assert_int_lt(fe_recv(&extra, &reply), 0);
                fe_close(&extra);
        }
        OK(prog_log_wait(&rig.prog, 0, "connection refused", FE_TIMEOUT_MS));
        seconds = (unsigned) ((fe_now_ns() - from) / 1000000000);
        for (const char *at = rig.prog.log; (at = strstr(at, "connection refused")); at++)
                lines++;
        ck_assert_uint_le(lines, 10 + 2 * (seconds + 1));
        OK(fe_device_stop(&device));
        hear(&next);
        fe_close(&next);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("waiting");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_test(all, one_waits_and_is_served_next);
        tcase_add_test(all, the_third_is_refused);
        tcase_add_test(all, who_hangs_up_loses_its_place);
        tcase_add_test(all, refusals_do_not_flood_the_log);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
