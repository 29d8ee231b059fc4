/*
 * Hostile peers of the control socket: nothing that they send, or do not send, holds up the broker.
 */
#include "run_ctl.h"

#include "control_packets.h"
#include "lingering.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECTIONS = 8 };

static struct fd come(const struct rig *rig)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct fd peer = { socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) };

        ck_assert(fd_has(&peer));
        memcpy(address.sun_path, rig->control, strlen(rig->control) + 1);
        ck_assert_int_eq(connect(peer.num, (struct sockaddr *) &address, sizeof(address)), 0);
        return peer;
}

/* It is hung up on. */
static void expect_end(struct fd *peer)
{
        char byte;

        OK(fe_poll(peer->num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        ck_assert_int_le(recv(peer->num, &byte, 1, 0), 0);
        fd_close(peer);
}

static void expect_broker_well(const struct rig *rig)
{
        struct ctl_said said;

        CTL(rig, &said, "list");
        ctl_expect(&said, 0);
}

START_TEST(what_is_no_question_ends_the_connection)
{
        static const struct {
                uint16_t type, length;
                size_t sent;
        } bad[] = {
                { 0, 0, 8 },
                { 1, 0, 7 },
                { 1, 0, 0 },
                { CONTROL_ASK_BROKER, 4, 12 },
                { CONTROL_ASK_DEVICE, 0, 8 },
                { CONTROL_ASK_DEVICE, 8, 12 },
                { CONTROL_ASK_DEVICE, 8, 20 },
                { CONTROL_ASK_TEXT, 65535, 1024 },
                { CONTROL_ASK_STATS, 8, 16 },
                { CONTROL_ASK_STATS, 16, 23 },
                { CONTROL_STATS_PART, sizeof(struct control_stats_part), 8 + sizeof(struct control_stats_part) },
                { CONTROL_DEVICE, sizeof(struct control_device), 8 + sizeof(struct control_device) },
                { CONTROL_TYPES, 0, 8 },
                { 65535, 0, 8 },
        };
        RIG(rig);

        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct fd peer = come(&rig);
                uint8_t bytes[4096] = { 0 };
                struct packet_header header = { .type = bad[i].type, .length = bad[i].length };

                memcpy(bytes, &header, sizeof(header));
                ck_assert_int_eq(send(peer.num, bytes, bad[i].sent, 0), (ssize_t) bad[i].sent);
                expect_end(&peer);
        }
        expect_broker_well(&rig);
}
END_TEST

START_TEST(what_does_not_exist_is_refused)
{
        static const struct control_ask_text ask[] = { { .index = 1 },
                                                       { .index = UINT32_MAX },
                                                       { .which = CONTROL_TEXTS },
                                                       { .which = UINT32_MAX },
                                                       { .offset = UINT32_MAX },
                                                       { .offset = 4096 } };
        RIG(rig);
        struct fd peer = come(&rig);

        for (unsigned i = 0; i < sizeof(ask) / sizeof(ask[0]); i++) {
                struct packet answer;

                OK(packet_send(peer.num, CONTROL_ASK_TEXT, i, &ask[i], sizeof(ask[i]), NULL, 0));
                OK(fe_poll(peer.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
                OK(packet_recv(peer.num, 0, &answer));
                ck_assert_uint_eq(answer.header.type, CONTROL_REFUSED);
                ck_assert_uint_eq(answer.header.sequence, i);
        }
        fd_close(&peer);
}
END_TEST

START_TEST(statistics_end_where_they_end)
{
        static const struct {
                struct control_ask_stats ask;
                int error;
        } all[] = { { { .loop = 1 }, 0 },
                    { { .part = CONTROL_STATS_PARTS - 1 }, 0 },
                    { { .index = 1 }, -ENOENT },
                    { { .index = UINT32_MAX }, -ENOENT },
                    { { .loop = 2 }, -ENOENT },
                    { { .loop = UINT32_MAX }, -ENOENT },
                    { { .part = CONTROL_STATS_PARTS }, -EINVAL },
                    { { .part = UINT32_MAX }, -EINVAL } };
        RIG_WITH(rig, .set = { "worker.threads=2" });
        struct fd peer = come(&rig);

        for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
                const struct control_refused *refused;
                struct packet answer;

                OK(packet_send(peer.num, CONTROL_ASK_STATS, i, &all[i].ask, sizeof(all[i].ask), NULL, 0));
                OK(fe_poll(peer.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
                OK(packet_recv(peer.num, 0, &answer));
                refused = (const struct control_refused *) answer.body;
                ck_assert_uint_eq(answer.header.type, all[i].error ? CONTROL_REFUSED : CONTROL_STATS_PART);
                ck_assert(!all[i].error || refused->error == all[i].error);
        }
        fd_close(&peer);
}
END_TEST

START_TEST(descriptors_are_never_taken)
{
        RIG(rig);
        struct fd other, peer = come(&rig), slow = lingering_socket(6 * FE_TIMEOUT_MS / 1000, &other);

        OK(prog_halt(rig.prog.pid, FE_TIMEOUT_MS)); /* or it could be us who close it last */
        OK(packet_send(peer.num, CONTROL_ASK_BROKER, 1, NULL, 0, &slow.num, 1));
        fd_close(&slow); /* the last one is in flight now */
        ck_assert_int_eq(kill(rig.prog.pid, SIGCONT), 0);
        expect_end(&peer);
        expect_broker_well(&rig);
        fd_close(&other);
}
END_TEST

START_TEST(who_asks_much_and_never_reads_is_hung_up_on)
{
        RIG(rig);
        struct fd peer = come(&rig);
        int r = 0;

        for (unsigned i = 0; i < 100000 && (r == 0 || r == -EAGAIN); i++) {
                r = packet_send(peer.num, CONTROL_ASK_DEVICE, i, &(struct control_ask){ 0 }, sizeof(struct control_ask), NULL,
                                0);
                if (r == -EAGAIN)
                        OK(fe_poll(peer.num, POLLOUT | POLLHUP, fe_deadline(FE_TIMEOUT_MS)));
        }
        ck_assert_msg(r == -EPIPE || r == -ECONNRESET, "%s", log_errno(r));
        fd_close(&peer);
        expect_broker_well(&rig);
}
END_TEST

START_TEST(there_are_only_so_many_connections)
{
        RIG(rig);
        struct fd peer[CONNECTIONS], more;

        for (unsigned i = 0; i < CONNECTIONS; i++) {
                struct packet answer;

                peer[i] = come(&rig);
                OK(packet_send(peer[i].num, CONTROL_ASK_BROKER, i, NULL, 0, NULL, 0));
                OK(fe_poll(peer[i].num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
                OK(packet_recv(peer[i].num, 0, &answer));
        }
        more = come(&rig);
        expect_end(&more);
        OK(prog_log_wait(&rig.prog, 0, "control: refused", FE_TIMEOUT_MS));
        rig_check_alive(&rig);
        fd_close_all(peer, CONNECTIONS);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ctl_hostile");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_test(all, what_is_no_question_ends_the_connection);
        tcase_add_test(all, what_does_not_exist_is_refused);
        tcase_add_test(all, statistics_end_where_they_end);
        tcase_add_test(all, descriptors_are_never_taken);
        tcase_add_test(all, who_asks_much_and_never_reads_is_hung_up_on);
        tcase_add_test(all, there_are_only_so_many_connections);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
