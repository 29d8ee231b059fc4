/*
 * Packets: what arrives is what was sent, and nothing that lies about itself gets through or leaves a descriptor.
 */
#include "packet.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int n = 0;

        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void make_pair(int pair[2])
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

START_TEST(carries_body_and_fds)
{
        int before = open_fds(), pair[2], fds[] = { 0, 1 };
        struct packet packet;

        make_pair(pair);
        ck_assert_int_eq(packet_send(pair[0], 7, 42, "hello", 6, fds, 2), 0);
        ck_assert_int_eq(packet_recv(pair[1], 2, &packet), 0);
        ck_assert_uint_eq(packet.header.type, 7);
        ck_assert_uint_eq(packet.header.sequence, 42);
        ck_assert_uint_eq(packet.header.length, 6);
        ck_assert_str_eq((char *) packet.body, "hello");
        ck_assert_uint_eq(packet.n_fds, 2);
        ck_assert_int_eq(fcntl(packet.fd[0].num, F_GETFD), FD_CLOEXEC);
        packet_done(&packet);
        close(pair[0]);
        ck_assert_int_eq(packet_recv(pair[1], 2, &packet), -ENODATA);
        close(pair[1]);
        ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(refuses_fds_that_are_not_expected)
{
        int before = open_fds(), pair[2], fds[PACKET_FDS_MAX] = { 0 };
        struct packet packet;

        make_pair(pair);
        ck_assert_int_eq(packet_send(pair[0], 7, 0, NULL, 0, fds, 1), 0);
        ck_assert_int_eq(packet_recv(pair[1], 0, &packet), -EBADMSG);
        ck_assert_int_eq(packet_send(pair[0], 7, 0, NULL, 0, fds, 3), 0);
        ck_assert_int_eq(packet_recv(pair[1], 2, &packet), -EBADMSG);
        ck_assert_uint_eq(packet.n_fds, 0);
        ck_assert_int_eq(packet_send(pair[0], 7, 0, NULL, 0, fds, PACKET_FDS_MAX), 0);
        ck_assert_int_eq(packet_recv(pair[1], PACKET_FDS_MAX, &packet), 0);
        packet_done(&packet);
        close(pair[0]);
        close(pair[1]);
        ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(refuses_lengths_that_lie)
{
        const struct packet_header lies[] = { { .type = 1, .length = 4 }, { .type = 1, .length = 65535 } };
        char room[sizeof(struct packet_header) + PACKET_BODY_MAX + 1] = { 0 };
        struct packet packet;
        int pair[2];

        make_pair(pair);
        for (unsigned i = 0; i < 2; i++) {
                ck_assert_int_eq(send(pair[0], &lies[i], sizeof(lies[i]), 0), sizeof(lies[i]));
                ck_assert_int_eq(packet_recv(pair[1], 0, &packet), -EBADMSG);
        }
        ck_assert_int_eq(send(pair[0], "abc", 3, 0), 3);
        ck_assert_int_eq(packet_recv(pair[1], 0, &packet), -EBADMSG);
        ck_assert_int_eq(send(pair[0], room, sizeof(room), 0), sizeof(room));
        ck_assert_int_eq(packet_recv(pair[1], 0, &packet), -EBADMSG);
        ck_assert_int_eq(packet_send(pair[0], 1, 0, room, PACKET_BODY_MAX + 1, NULL, 0), -EMSGSIZE);
        ck_assert_int_eq(packet_recv(pair[1], 0, &packet), -EAGAIN);
        close(pair[0]);
        close(pair[1]);
}
END_TEST

START_TEST(goes_through_a_packet_pipe)
{
        struct packet packet;
        int pair[2], sent = 0;

        ck_assert_int_eq(pipe2(pair, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
        ck_assert_int_eq(packet_send(pair[1], 3, 1, "one", 4, NULL, 0), 0);
        ck_assert_int_eq(packet_send(pair[1], 4, 2, NULL, 0, NULL, 0), 0);
        ck_assert_int_eq(packet_read(pair[0], &packet), 0);
        ck_assert_uint_eq(packet.header.type, 3);
        ck_assert_str_eq((char *) packet.body, "one");
        ck_assert_int_eq(packet_read(pair[0], &packet), 0);
        ck_assert_uint_eq(packet.header.type, 4);
        ck_assert_int_eq(packet_read(pair[0], &packet), -EAGAIN);
        ck_assert_int_eq(write(pair[1], "junk", 4), 4);
        ck_assert_int_eq(packet_read(pair[0], &packet), -EBADMSG);
        while (packet_send(pair[1], 3, 1, "one", 4, NULL, 0) == 0)
                sent++;
        ck_assert_int_gt(sent, 0);
        close(pair[1]);
        while (packet_read(pair[0], &packet) == 0)
                sent--;
        ck_assert_int_eq(sent, 0);
        ck_assert_int_eq(packet_read(pair[0], &packet), -ENODATA);
        close(pair[0]);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("packet");
        TCase *all = tcase_create("all");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(all, carries_body_and_fds);
        tcase_add_test(all, refuses_fds_that_are_not_expected);
        tcase_add_test(all, refuses_lengths_that_lie);
        tcase_add_test(all, goes_through_a_packet_pipe);
        suite_add_tcase(suite, all);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
