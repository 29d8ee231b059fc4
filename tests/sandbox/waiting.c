/*
 * Connections that come while a device is taken, or that come too fast.
 */
#include "rig.h"

#include <poll.h>
#include <string.h>

/* Says hello, without waiting for the answer. */
static struct fe_conn say_hello(const struct rig *rig)
{
        struct fe_conn conn;

        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &conn));
        OK(fe_send(&conn, VU_GET_FEATURES, NULL, 0));
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

/* A probe that came and went must not cost the front-end that really reconnects its place. */
START_TEST(who_hangs_up_loses_its_place)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct fe_conn gone = say_hello(&rig), next;

        fe_close(&gone);
        /* The end of a connection that nobody serves shows nowhere; until it is noticed the next one is refused. */
        for (int tries = 0;; tries++) {
                struct pollfd end;

                next = say_hello(&rig);
                end = (struct pollfd){ .fd = next.fd.num, .events = POLLIN };
                if (poll(&end, 1, 100) == 0)
                        break;
                fe_close(&next);
                ck_assert_int_lt(tries, 10);
        }
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
        unsigned lines = 0;

        for (unsigned i = 0; i < 150; i++) {
                struct fe_conn extra = say_hello(&rig);
                struct fe_reply reply;

                ck_assert_int_lt(fe_recv(&extra, &reply), 0);
                fe_close(&extra);
        }
        OK(prog_log_wait(&rig.prog, 0, "connection refused", FE_TIMEOUT_MS));
        for (const char *at = rig.prog.log; (at = strstr(at, "connection refused")); at++)
                lines++;
        ck_assert_uint_lt(lines, 60);
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
