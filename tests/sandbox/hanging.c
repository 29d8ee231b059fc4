/*
 * A child whose confinement does not fail but hangs: its device waits, and no other one. The kernel that lets it hang
 * is one of tests/sandbox/faults.c.
 */
#include "faults.h"
#include "neighbour.h"

#include "array.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

enum { TIMES = 5, PATIENCE_MS = 5000 };

/* Where it can hang: before the first child is born, while it is confined, and last of all. */
static const struct fault hangs[] = {
        { FAULT_STAGE, "setns", FAULT_HANG, .argument[1] = { UINT32_MAX, CLONE_NEWNET } },
        { FAULT_STAGE, "capset", FAULT_HANG, .text = NULL },
        { FAULT_STAGE, "execveat", FAULT_HANG, .skip = 1 },
};

/* What the log calls the first two. */
static const char *const stages[] = { "an empty net namespace", "dropping capabilities" };

/* A connection whose session or worker hangs before its program runs. */
static struct fe_conn hang(struct faults *faults, const struct rig *rig, const struct fault *where)
{
        struct fe_conn conn;

        faults_arm(faults, where, rig->prog.pid);
        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &conn));
        OK(fe_send(&conn, VU_GET_FEATURES, NULL, 0));
        faults_await(faults);
        return conn;
}

/* Connects to the other device: ms until the first reply. */
static double begin_ms(const struct rig *rig)
{
        long long from = fe_now_ns();
        struct fe_conn conn;

        OK(fe_connect(rig->other_socket, FE_TIMEOUT_MS, &conn));
        rig_quiet(&conn);
        fe_close(&conn);
        return (double) (fe_now_ns() - from) / 1e6;
}

static double longest_ms(const struct rig *rig)
{
        double longest = 0;

        for (unsigned i = 0; i < TIMES; i++) {
                double ms = begin_ms(rig);

                longest = ms > longest ? ms : longest;
        }
        return longest;
}

/* It still hangs: neither an answer nor an end. */
static void expect_silence(struct fe_conn *conn)
{
        ck_assert_int_eq(fe_poll(conn->fd.num, POLLIN, fe_deadline(0)), -ETIMEDOUT);
}

START_TEST(others_begin_meanwhile)
{
        struct faults *faults = faults_new("setns capset execveat");
        struct rig rig = rig_start((struct rig_options){ .neighbour = true });
        double alone = longest_ms(&rig);
        long long from = fe_now_ns();
        struct fe_conn conn = hang(faults, &rig, &hangs[_i]);
        size_t logged = rig.prog.log_n;

        begin_ms(&rig);
        expect_silence(&conn);
        printf("connect to first reply: at most %.1f ms, while another device's child hangs in %s %.1f ms\n", alone,
               hangs[_i].call, longest_ms(&rig));
        if (_i < (int) ARRAY_SIZE(stages)) { /* not for all: the end of its patience is long in coming */
                char line[100];

                conn.timeout_ms = 2 * PATIENCE_MS;
                OK(fe_gone(&conn));
                ck_assert_int_ge((fe_now_ns() - from) / 1000000, PATIENCE_MS / 2);
                snprintf(line, sizeof(line), "not started: confining it hangs: %s: ETIMEDOUT", stages[_i]);
                OK(prog_log_wait(&rig.prog, logged, line, FE_TIMEOUT_MS));
                rig_check_alive(&rig);
                fe_close(&conn);
                rig_stop(&rig);
        } else { /* and so a broker that is told to end does not wait for it */
                int status = 0, ms;

                OK(prog_stop(&rig.prog, PATIENCE_MS - 500, &status, &ms));
                ck_assert_int_eq(status, 0);
                fe_close(&conn);
        }
        faults_free(faults);
}
END_TEST

/*
 * What hangs holds no descriptor of another device: a connection that waited there when it began, and is served
 * meanwhile, ends as soon as its session does.
 */
START_TEST(others_end_meanwhile)
{
        struct faults *faults = faults_new("setns");
        struct rig rig = rig_start((struct rig_options){ .neighbour = true });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn waits, conn, refused;
        int status = 0, ms;
        pid_t session;

        OK(fe_connect(rig.other_socket, FE_TIMEOUT_MS, &waits));
        OK(fe_connect(rig.other_socket, FE_TIMEOUT_MS, &refused));
        OK(fe_gone(&refused)); /* so the one before it is there */
        conn = hang(faults, &rig, &hangs[0]); /* before a session of its own is born, which could be killed below */
        neighbour_move_out(&n);
        rig_quiet(&waits);
        session = rig_child(&rig, "vhost-session");
        rig_kill(&rig, &session, 1);
        OK(fe_gone(&waits));
        expect_silence(&conn);
        fe_close(&waits);
        fe_close(&refused);
        OK(prog_stop(&rig.prog, PATIENCE_MS - 500, &status, &ms));
        ck_assert_int_eq(status, 0);
        fe_close(&conn);
        faults_free(faults);
}
END_TEST

/* The first that the broker has forked and not reaped, a zombie perhaps; 0: none. */
static pid_t first_child(pid_t pid)
{
        char path[64];
        int child = 0;
        FILE *list;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid, (int) pid);
        list = fopen(path, "re");
        ck_assert(list != NULL);
        if (fscanf(list, "%d", &child) != 1)
                ck_assert(feof(list));
        fclose(list);
        return child;
}

static void await_no_children(pid_t pid)
{
        for (long long deadline = fe_deadline(FE_TIMEOUT_MS); first_child(pid);) {
                ck_assert_msg(fe_left_ms(deadline) > 0, "a child was not reaped");
                nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL); /* no event tells of a grandchild */
        }
}

/*
 * A broker that gets no descriptor for a child cannot tell how it ends: it kills both and asks again until it can. The
 * worker, of which it knew, ends meanwhile.
 */
START_TEST(child_without_pidfd)
{
        static const struct fault none_left = { FAULT_BROKER, "pidfd_open", EMFILE, .skip = 1, .more = 3 };
        struct faults *faults = faults_new("pidfd_open");
        struct rig rig = rig_start((struct rig_options){ .neighbour = true });
        struct fe_conn conn;

        faults_arm(faults, &none_left, rig.prog.pid);
        OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &conn));
        OK(fe_gone(&conn));
        OK(prog_log_wait(&rig.prog, 0, "not started: EMFILE", FE_TIMEOUT_MS));
        await_no_children(rig.prog.pid);
        fe_close(&conn);
        rig_check_alive(&rig);
        rig_stop(&rig);
        faults_free(faults);
}
END_TEST

/* A stage is killed when it first writes, which is behind its first clone: the broker knows the child, and reaps it. */
START_TEST(stage_killed)
{
        static const struct fault first_write = { FAULT_STAGE, "write", FAULT_HANG, .text = NULL };
        struct faults *faults = faults_new("write");
        struct rig rig = rig_start((struct rig_options){ .neighbour = true });
        struct fe_conn conn = hang(faults, &rig, &first_write);
        pid_t stage = first_child(rig.prog.pid);

        ck_assert_int_gt(stage, 0);
        ck_assert_int_eq(kill(stage, SIGKILL), 0);
        OK(fe_gone(&conn));
        OK(prog_log_wait(&rig.prog, 0, "not started: worker: a uid of its own: ECANCELED", FE_TIMEOUT_MS));
        await_no_children(rig.prog.pid);
        fe_close(&conn);
        rig_check_alive(&rig);
        rig_stop(&rig);
        faults_free(faults);
}
END_TEST

/* A device's first stage waits for the broker at its end; one that is killed meanwhile leaves nobody behind. */
START_TEST(broker_killed_meanwhile)
{
        static const struct fault opens = { FAULT_BROKER, "openat", FAULT_HANG, .text = "ns/net" };
        struct faults *faults = faults_new("openat");
        struct fe_reply reply;
        struct fe_conn conn;
        struct rig rig;
        int stage;

        setenv("RIG_FOREIGN", "1", 1); /* not warmed up: this is to be the first */
        rig = rig_start((struct rig_options){ .engine = "sync" });
        conn = hang(faults, &rig, &opens);
        stage = pidfd_open(first_child(rig.prog.pid), 0);
        ck_assert_int_ge(stage, 0);
        OK(fe_recv(&conn, &reply)); /* session and worker run already */
        FAILS(-ETIMEDOUT, fe_poll(stage, POLLIN, fe_deadline(1)));
        rig_crash(&rig);
        OK(fe_poll(stage, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        OK(fe_gone(&conn));
        fe_close(&conn);
        close(stage);
        faults_free(faults);
}
END_TEST

/* The disk grows while its worker is not confined yet: guest and worker get to know the new size. */
START_TEST(disk_grows_meanwhile)
{
        enum { SECTOR = 512, GROWN = 2 * RIG_DISK_BYTES };
        struct faults *faults = faults_new("capset");
        struct rig rig = rig_start((struct rig_options){ .engine = "sync" });
        struct fe_conn conn;
        struct fe_device device;
        uint8_t data[SECTOR] = { 0x5a };
        uint64_t sectors = 0;
        struct drv_blk blk;

        faults_arm(faults, &hangs[1], rig.prog.pid);
        OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &conn));
        faults_await(faults);
        ck_assert_int_eq(truncate(rig.disk, GROWN), 0);
        ck_assert_int_eq(kill(rig.prog.pid, SIGHUP), 0);
        OK(prog_log_wait(&rig.prog, 0, "bytes now", FE_TIMEOUT_MS));
        faults_release(faults);
        OK(fe_device_start_on(conn, NULL, &device));
        for (long long deadline = fe_deadline(FE_TIMEOUT_MS); sectors != GROWN / SECTOR; sectors = le64toh(sectors)) {
                ck_assert_msg(fe_left_ms(deadline), "the disk has %llu sectors", (unsigned long long) sectors);
                OK(fe_get_config(&device.conn, 0, &sectors, sizeof(sectors)));
        }
        blk = rig_blk(&device, 0);
        OK(drv_blk_write(&blk, GROWN / SECTOR - 1, data, sizeof(data)));
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
        rig_stop(&rig);
        faults_free(faults);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("hanging");
        TCase *all = tcase_create("all");

        if (geteuid() != 0) {
                puts("skipped: only root may answer for the kernel");
                return 77;
        }
        tcase_set_timeout(all, 60);
        tcase_add_loop_test(all, others_begin_meanwhile, 0, ARRAY_SIZE(hangs));
        tcase_add_test(all, others_end_meanwhile);
        tcase_add_test(all, child_without_pidfd);
        tcase_add_test(all, stage_killed);
        tcase_add_test(all, broker_killed_meanwhile);
        tcase_add_test(all, disk_grows_meanwhile);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
