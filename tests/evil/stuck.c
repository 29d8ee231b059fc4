/*
 * A taken-over session that holds descriptors whose close hangs, and hands them wherever its channels let it: the broker
 * cannot be given one, and ends in its time, is replaced, and serves the other devices, whatever hangs.
 */
#include "attacker.h"
#include "fuse_file.h"
#include "lingering.h"
#include "neighbour.h"

#include "ipc.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KINDS = 2, PLACES = 2, SIDEWAYS = 3, HEADER = sizeof(struct packet_header) };

struct stuck {
        struct rig rig;
        struct neighbour neighbour;
        struct attacker a;
        struct fuse_file file;
        struct fd peer; /* of the socket */
        bool none;      /* this host has no such thing */
};

static int send_with(struct stuck *s, int to, int fd)
{
        struct packet_header header = { .type = IPC_LOG, .length = 16 };
        struct evil_command command = { .what = EVIL_PACKET, .number = (uint64_t) to,
                                        .argument = { HEADER + 16, 0, 1, (uint64_t) fd } };
        struct evil_answer answer;
        int r;

        memcpy(command.data, &header, sizeof(header));
        r = attacker_do(&s->a, command, &answer);
        return r < 0 ? r : (int) answer.result; /* its worker's end may soon be its own */
}

/* _i: a FUSE file or a socket that lingers; kept by the session, or sent to its worker as well, more than that reads. */
static struct stuck stick(int i)
{
        struct stuck s = { .file = { .file = FD_NONE, .server = { .control = FD_NONE } }, .peer = FD_NONE };
        char directory[RIG_PATH_MAX + 8];
        struct fd fd = FD_NONE;
        int given;

        attacker_prepare(false);
        s.rig = rig_start((struct rig_options){ .neighbour = true, .engine = "sync" });
        if (i % KINDS) {
                fd = lingering_socket(LINGER_S, &s.peer);
        } else { /* its server is forked before there are connections, or it would hold them as well */
                snprintf(directory, sizeof(directory), "%s/fuse", s.rig.dir);
                ck_assert_int_eq(mkdir(directory, 0755), 0);
                s.none = fuse_file_open(directory, &s.file) < 0;
                if (s.none)
                        rig_left_out("files whose close hangs: this host lets no user serve FUSE files");
        }
        s.neighbour = neighbour_move_in(&s.rig);
        s.a = attacker_in_session(&s.rig);
        if (s.none)
                return s;
        given = attacker_give(&s.a, fd_has(&fd) ? fd.num : s.file.file.num);
        fd_close(&fd); /* the last one is not ours any more: we have to live as well */
        fd_close(&s.file.file);
        if (fd_has(&s.file.server.control))
                fuse_file_hang(&s.file);
        ck_assert_int_eq(send_with(&s, 0, given), -EPIPE);
        for (unsigned n = 0; i / KINDS && n < SIDEWAYS; n++) {
                int r = send_with(&s, s.a.channel, given);

                ck_assert_msg(r > 0 || r == -EPIPE || r == -ECONNRESET, "%d", r);
        }
        return s;
}

/* Whatever hung goes on. */
static void let_go(struct stuck *s)
{
        fuse_file_done(&s->file);
        fd_close(&s->peer);
}

START_TEST(when_the_front_end_leaves)
{
        struct stuck s = stick(_i);

        attacker_close(&s.a);
        neighbour_look_in(&s.neighbour);
        neighbour_move_out(&s.neighbour);
        s.neighbour = neighbour_move_in(&s.rig); /* a session and a worker can be made */
        let_go(&s);
        rig_check_alive(&s.rig);
        neighbour_move_out(&s.neighbour);
        rig_stop(&s.rig);
}
END_TEST

START_TEST(when_the_broker_is_told_to_end)
{
        struct stuck s = stick(_i);
        int status = 0, ms;

        kill(s.rig.prog.pid, SIGTERM);
        OK(prog_end(&s.rig.prog, (LINGER_S - 1) * 1000, &status)); /* it asks, kills, and gives up */
        ck_assert_int_eq(status, 0);
        attacker_close(&s.a);
        let_go(&s);
        drv_blk_done(&s.neighbour.blk);
        fe_device_drop(&s.neighbour.device);
        OK(prog_stop(&s.rig.prog, (LINGER_S + 1) * 1000, &status, &ms)); /* of its descendants nothing is left */
}
END_TEST

static struct fd worker_of_the_neighbour(const struct stuck *s)
{
        pid_t pids[4];
        unsigned n = prog_find(s->rig.prog.pid, "vhost-worker", pids, 4);

        ck_assert(n == 1 || n == 2); /* the attacked one may have ended; it was born later */
        return (struct fd){ pidfd_open(n == 2 && pids[1] < pids[0] ? pids[1] : pids[0], 0) };
}

/* What hangs keeps its disk locked; all other devices are served again. */
START_TEST(while_the_broker_is_away)
{
        struct stuck s = stick(_i);
        struct fd worker = worker_of_the_neighbour(&s);
        int status = 0, ms;

        kill(s.rig.prog.pid, SIGKILL);
        OK(prog_end(&s.rig.prog, RIG_STOP_MS, &status));
        OK(fe_poll(worker.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        fd_close(&worker);
        prog_done(&s.rig.prog);
        drv_blk_done(&s.neighbour.blk);
        fe_device_drop(&s.neighbour.device);
        rig_restart(&s.rig);
        s.neighbour = neighbour_move_in(&s.rig);
        attacker_close(&s.a);
        neighbour_look_in(&s.neighbour);
        let_go(&s);
        neighbour_move_out(&s.neighbour);
        OK(prog_stop(&s.rig.prog, (LINGER_S + 1) * 1000, &status, &ms));
        ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("evil-stuck");
        TCase *c = tcase_create("evil-stuck");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, when_the_front_end_leaves, 0, KINDS * PLACES);
        tcase_add_loop_test(c, when_the_broker_is_told_to_end, 0, KINDS * PLACES);
        tcase_add_loop_test(c, while_the_broker_is_away, 0, KINDS * PLACES);
        suite_add_tcase(s, c);
        return rig_main(s);
}
