/*
 * Connect=: the front-end listens and the broker comes, again and again; and what it says when it can't.
 */
#include "rig.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { DISK_BYTES = 1 << 20, A_FEW_TRIES_MS = 2500 };

struct stand {
        char dir[64], disk[80], path[80];
        struct prog prog;
        struct fd listener;
};

static struct stand stand_make(void)
{
        const char *base = getenv("RIG_DIR");
        struct stand s = { .listener = FD_NONE };
        AUTO_FD disk = FD_NONE;

        snprintf(s.dir, sizeof(s.dir), "%s/XXXXXX", base ? base : "/tmp");
        ck_assert(mkdtemp(s.dir) != NULL);
        ck_assert_int_eq(chmod(s.dir, 0755), 0);
        snprintf(s.disk, sizeof(s.disk), "%s/disk", s.dir);
        snprintf(s.path, sizeof(s.path), "%s/vm.sock", s.dir);
        disk.num = open(s.disk, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        ck_assert_int_ge(disk.num, 0);
        ck_assert_int_eq(ftruncate(disk.num, DISK_BYTES), 0);
        return s;
}

static void stand_listen(struct stand *s)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        strcpy(address.sun_path, s->path);
        unlink(s->path);
        s->listener.num = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(bind(s->listener.num, (struct sockaddr *) &address, sizeof(address)), 0);
        ck_assert_int_eq(chmod(s->path, 0666), 0);
        ck_assert_int_eq(listen(s->listener.num, 4), 0);
}

static void stand_start(struct stand *s, const char *further)
{
        char disk[100], connect[110];
        char *argv[] = { getenv("VHOST_BROKER"), "--type=block", disk, "--set", connect, "--set", (char *) further,
                         NULL };

        snprintf(disk, sizeof(disk), "--blk-file=%s", s->disk);
        snprintf(connect, sizeof(connect), "device.connect=%s", s->path);
        OK(prog_start(argv, &s->prog));
        OK(prog_ready(&s->prog, RIG_START_MS));
}

static void stand_stop(struct stand *s)
{
        int status = 1, ms;

        OK(prog_stop(&s->prog, RIG_STOP_MS, &status, &ms));
        ck_assert_int_eq(status, 0);
        fd_close(&s->listener);
        unlink(s->path);
        unlink(s->disk);
        ck_assert_int_eq(rmdir(s->dir), 0);
}

static bool comes(const struct stand *s, int timeout_ms)
{
        struct pollfd ready = { .fd = s->listener.num, .events = POLLIN };

        return poll(&ready, 1, timeout_ms) == 1;
}

static struct fe_conn adopt(const struct stand *s)
{
        ck_assert(comes(s, FE_TIMEOUT_MS));
        return fe_adopt((struct fd){ accept4(s->listener.num, NULL, NULL, SOCK_CLOEXEC) });
}

static void use_and_leave(const struct stand *s)
{
        struct fe_device device;
        uint64_t sectors;

        OK(fe_device_start_on(adopt(s), NULL, &device));
        OK(fe_get_config(&device.conn, 0, &sectors, sizeof(sectors)));
        ck_assert_uint_eq(le64toh(sectors), DISK_BYTES / 512);
        ck_assert(!comes(s, 0)); /* one at a time */
        OK(fe_device_stop(&device));
}

static unsigned count(const struct prog *prog, const char *text)
{
        unsigned n = 0;

        for (const char *at = prog->log; (at = strstr(at, text)); at += strlen(text))
                n++;
        return n;
}

START_TEST(comes_again_and_again)
{
        struct stand s = stand_make();

        stand_start(&s, "device.vm=x");
        OK(prog_log_wait(&s.prog, 0, "waiting for a front-end that listens at", FE_TIMEOUT_MS));
        stand_listen(&s); /* later than the broker */
        use_and_leave(&s);
        use_and_leave(&s);
        fd_close(&s.listener); /* the VM restarts */
        OK(prog_log_wait(&s.prog, s.prog.log_n, "waiting for a front-end that listens at", FE_TIMEOUT_MS));
        stand_listen(&s);
        use_and_leave(&s);
        stand_stop(&s);
}
END_TEST

/* A front-end that closes at once must not keep the broker busy. */
START_TEST(not_faster_than_twice_a_second)
{
        struct stand s = stand_make();
        long long from;

        stand_listen(&s);
        from = fe_now_ns(); /* before the first, which comes at once */
        stand_start(&s, "device.vm=x");
        for (int i = 0; i < 4; i++) {
                struct fe_conn conn = adopt(&s);

                fe_close(&conn);
        }
        ck_assert_int_ge(fe_now_ns() - from, 1400 * 1000000LL);
        stand_stop(&s);
}
END_TEST

START_TEST(who_listens_is_judged)
{
        struct stand s = stand_make();

        stand_listen(&s);
        stand_start(&s, getuid() == 4711 ? "device.allowuser=4712" : "device.allowuser=4711");
        OK(prog_log_wait(&s.prog, 0, "listens there and may not: EACCES", FE_TIMEOUT_MS));
        for (int i = 0; i < 3; i++) {
                struct fe_conn conn = adopt(&s);

                OK(fe_gone(&conn));
                fe_close(&conn);
        }
        ck_assert_uint_eq(count(&s.prog, "may not: EACCES"), 1);
        ck_assert_uint_eq(count(&s.prog, "started"), 0);
        stand_stop(&s);
}
END_TEST

/* One line, which names the id and the path; and no restart is needed once the operator has seen to it. */
START_TEST(says_what_access_it_needs)
{
        struct stand s = stand_make();
        size_t from;

        stand_listen(&s);
        ck_assert_int_eq(chmod(s.path, 0), 0);
        stand_start(&s, "device.vm=x");
        OK(prog_log_wait(&s.prog, 0, "which needs write access to this socket", FE_TIMEOUT_MS));
        ck_assert_ptr_nonnull(strstr(s.prog.log, s.path));
        ck_assert_ptr_nonnull(strstr(s.prog.log, "runs as uid "));
        from = s.prog.log_n;
        ck_assert(!comes(&s, A_FEW_TRIES_MS)); /* what is to be seen is that nothing happens */
        ck_assert_int_eq(prog_log_wait(&s.prog, from, "EACCES", 0), -ETIMEDOUT);
        ck_assert_int_eq(chmod(s.path, 0666), 0);
        use_and_leave(&s);
        stand_stop(&s);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("outward");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_test(all, comes_again_and_again);
        tcase_add_test(all, not_faster_than_twice_a_second);
        tcase_add_test(all, who_listens_is_judged);
        tcase_add_test(all, says_what_access_it_needs);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
