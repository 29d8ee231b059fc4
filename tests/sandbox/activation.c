/*
 * As systemd starts it: sockets passed by name, READY, STATUS, watchdog; as others do: --fd with a connected socket, a
 * terminal. And how it ends.
 */
#include "array.h"
#include "rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct stand {
        char dir[48], conf[64], disk[2][64], socket[2][64], file[2][96];
        struct prog prog;
};

static void write_file(const char *path, const char *text, off_t bytes)
{
        FILE *file = fopen(path, "we");

        ck_assert(file != NULL);
        fputs(text, file);
        if (bytes)
                ck_assert_int_eq(ftruncate(fileno(file), bytes), 0);
        ck_assert_int_eq(fclose(file), 0);
}

/* Two devices, a and b, of different size, so that a mix-up shows. */
static struct stand stand_make(void)
{
        const char *base = getenv("RIG_DIR");
        struct stand s = { .prog = { .pid = 0 } };

        snprintf(s.dir, sizeof(s.dir), "%s/XXXXXX", base ? base : "/tmp");
        ck_assert(mkdtemp(s.dir) != NULL);
        snprintf(s.conf, sizeof(s.conf), "%s/conf", s.dir);
        ck_assert_int_eq(mkdir(s.conf, 0755), 0);
        for (int i = 0; i < 2; i++) {
                char text[256];

                snprintf(s.disk[i], sizeof(s.disk[i]), "%s/disk%d", s.dir, i);
                snprintf(s.socket[i], sizeof(s.socket[i]), "%s/socket%d", s.dir, i);
                snprintf(s.file[i], sizeof(s.file[i]), "%s/%c.conf", s.conf, 'a' + i);
                snprintf(text, sizeof(text), "[Device]\nType=block\n[Block]\nPath=%s\n", s.disk[i]);
                write_file(s.file[i], text, 0);
                write_file(s.disk[i], "", (1 + i) << 20);
        }
        return s;
}

static void stand_drop(struct stand *s)
{
        for (int i = 0; i < 2; i++) {
                unlink(s->socket[i]);
                unlink(s->disk[i]);
                unlink(s->file[i]);
        }
        rmdir(s->conf);
        ck_assert_int_eq(rmdir(s->dir), 0);
}

static uint64_t capacity_of(const char *socket)
{
        struct fe_device device;
        uint64_t sectors;

        OK(fe_device_start(socket, NULL, &device));
        OK(fe_get_config(&device.conn, 0, &sectors, sizeof(sectors)));
        OK(fe_device_stop(&device));
        return sectors;
}

/* Waits for a datagram of sd_notify that contains the text. */
static bool notified(struct prog *prog, const char *text, int timeout_ms)
{
        long long deadline = fe_deadline(timeout_ms);
        char got[512];

        for (;;) {
                struct pollfd ready = { .fd = prog->notify.num, .events = POLLIN };
                ssize_t n;

                if (poll(&ready, 1, fe_left_ms(deadline)) <= 0)
                        return false;
                n = recv(prog->notify.num, got, sizeof(got) - 1, 0);
                got[n < 0 ? 0 : n] = '\0';
                if (strstr(got, text))
                        return true;
        }
}

START_TEST(sockets_come_by_name)
{
        struct stand s = stand_make();
        char *argv[] = { "systemd-socket-activate", "-E", "NOTIFY_SOCKET", "-l", s.socket[1], "-l", s.socket[0],
                         "--fdname=b:a", getenv("VHOST_BROKER"), "--config", s.conf,
                         "--control-socket=none", NULL };
        struct fe_device device;
        int status, ms;

        OK(prog_start(argv, &s.prog));
        ck_assert_uint_eq(capacity_of(s.socket[0]), (1 << 20) / 512); /* the first connection starts the broker */
        ck_assert_uint_eq(capacity_of(s.socket[1]), (2 << 20) / 512);
        ck_assert(notified(&s.prog, "READY=1", FE_TIMEOUT_MS));
        OK(fe_device_start(s.socket[0], NULL, &device));
        ck_assert(notified(&s.prog, "STATUS=2 devices: 1 in use", FE_TIMEOUT_MS));
        OK(fe_device_stop(&device));
        ck_assert(notified(&s.prog, "STATUS=2 devices: 0 in use", FE_TIMEOUT_MS));
        OK(prog_stop(&s.prog, RIG_STOP_MS, &status, &ms));
        stand_drop(&s);
}
END_TEST

START_TEST(a_missing_name_costs_its_own_device)
{
        struct stand s = stand_make();
        char *argv[] = { "systemd-socket-activate", "-l", s.socket[0], "-l", s.socket[1], "--fdname=a:x",
                         getenv("VHOST_BROKER"), "--config", s.conf, "--run-dir", s.dir, NULL };
        char taken[64], lock[64], control[64];
        int status, ms;

        /* Where its own socket would be, there is something else. */
        snprintf(taken, sizeof(taken), "%s/b.sock", s.dir);
        snprintf(lock, sizeof(lock), "%s/uids.lock", s.dir);
        snprintf(control, sizeof(control), "%s/control.sock", s.dir);
        ck_assert_int_eq(mkdir(taken, 0755), 0);
        OK(prog_start(argv, &s.prog));
        ck_assert_uint_eq(capacity_of(s.socket[0]), (1 << 20) / 512);
        OK(prog_log_wait(&s.prog, 0, "/b.sock", FE_TIMEOUT_MS));
        OK(prog_log_wait(&s.prog, 0, "b: the device is down", FE_TIMEOUT_MS));
        ck_assert_int_eq(access(control, F_OK), 0); /* the default place */
        OK(prog_stop(&s.prog, RIG_STOP_MS, &status, &ms));
        rmdir(taken);
        unlink(lock);
        unlink(control);
        stand_drop(&s);
}
END_TEST

/* Three ways to break device b, behind its socket or not; device a doesn't notice. */
static const char *const mistakes[] = {
        "[Device]\nType=block\n[Block]\nPath=/nowhere/disk\n",
        "[Device]\nType=block\nNoSuchKey=1\n",
        "[Device]\nType=block\n[Block]\nPath=/dev/null\n",
};

START_TEST(a_broken_device_is_down_alone)
{
        struct stand s = stand_make();
        char *argv[] = { "systemd-socket-activate", "-E", "NOTIFY_SOCKET", "-l", s.socket[0], "-l", s.socket[1],
                         "--fdname=a:b", getenv("VHOST_BROKER"), "--config", s.conf, "--control-socket=none", NULL };
        struct fe_device device, refused;
        int status, ms;

        write_file(s.file[1], mistakes[_i], 0);
        OK(prog_start(argv, &s.prog));
        OK(fe_device_start(s.socket[0], NULL, &device));
        ck_assert(notified(&s.prog, "1 down", FE_TIMEOUT_MS));
        for (int i = 0; i < 3; i++) {
                int r = fe_device_start(s.socket[1], NULL, &refused);

                ck_assert_msg(r < 0 && r != -ETIMEDOUT, "a broken device was served or silent: %d", r);
        }
        OK(prog_log_wait(&s.prog, 0, "b: connection refused: the device is down", FE_TIMEOUT_MS));
        OK(fe_device_stop(&device));
        ck_assert_uint_eq(capacity_of(s.socket[0]), (1 << 20) / 512);
        OK(prog_stop(&s.prog, RIG_STOP_MS, &status, &ms));
        stand_drop(&s);
}
END_TEST

START_TEST(with_no_sound_device_it_does_not_start)
{
        struct stand s = stand_make();
        char *argv[] = { getenv("VHOST_BROKER"), "--config", s.conf, "--control-socket=none", NULL };
        int status = 0;

        for (int i = 0; i < 2; i++)
                write_file(s.file[i], mistakes[i], 0);
        OK(prog_start(argv, &s.prog));
        OK(prog_end(&s.prog, RIG_START_MS, &status));
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        prog_done(&s.prog);
        stand_drop(&s);
}
END_TEST

START_TEST(the_watchdog_is_fed)
{
        struct stand s = stand_make();
        char *argv[] = { "env", "WATCHDOG_USEC=400000", getenv("VHOST_BROKER"), "--type=block", "--blk-file", s.disk[0],
                         "--socket-path", s.socket[0], NULL };
        int status, ms;

        OK(prog_start(argv, &s.prog));
        for (int i = 0; i < 3; i++)
                ck_assert(notified(&s.prog, "WATCHDOG=1", i ? FE_TIMEOUT_MS : RIG_START_MS));
        OK(prog_stop(&s.prog, RIG_STOP_MS, &status, &ms));
        stand_drop(&s);
}
END_TEST

/* With a device in use, whose processes end as well. */
START_TEST(stop_takes_less_than_a_second)
{
        int status, ms = PROMISED_STOP_MS;

        for (unsigned i = 0; i < PROMISE_TRIES && ms >= PROMISED_STOP_MS; i++) {
                struct rig rig = rig_start((struct rig_options){ .queues = 1 });
                struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });

                OK(prog_stop(&rig.prog, RIG_STOP_MS, &status, &ms));
                ck_assert_int_eq(status, 0);
                fe_device_drop(&device);
        }
        ck_assert_int_lt(ms, PROMISED_STOP_MS);
}
END_TEST

/* The side of a new terminal that whoever shows it holds, and the path of the other side. */
static struct fd terminal(char *ret_path, size_t size)
{
        struct fd shown = { posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC) };

        ck_assert(fd_has(&shown));
        ck_assert(grantpt(shown.num) == 0 && unlockpt(shown.num) == 0);
        ck_assert_int_eq(ptsname_r(shown.num, ret_path, size), 0);
        return shown;
}

/* SIGHUP by somebody's hand lets it look at its disks; by the kernel, for the terminal has gone, it means the end. */
START_TEST(the_end_of_its_terminal_is_its_own)
{
        struct stand s = stand_make();
        char tty[64];
        struct fd shown = terminal(tty, sizeof(tty));
        char *argv[] = { "sh", "-c", "exec setsid --ctty \"$@\" <\"$0\"", tty, getenv("VHOST_BROKER"), "--type=block",
                         "--blk-file", s.disk[0], "--socket-path", s.socket[0], NULL };
        struct fe_device device;
        int status = 1, ms;

        OK(prog_start(argv, &s.prog));
        OK(prog_ready(&s.prog, RIG_START_MS));
        OK(fe_device_start(s.socket[0], NULL, &device));
        ck_assert_int_eq(truncate(s.disk[0], 2 << 20), 0);
        ck_assert_int_eq(kill(s.prog.pid, SIGHUP), 0);
        OK(prog_log_wait(&s.prog, 0, "2097152 bytes now", FE_TIMEOUT_MS));
        fd_close(&shown);
        OK(prog_end(&s.prog, RIG_STOP_MS, &status));
        ck_assert_int_eq(status, 0);
        OK(prog_stop(&s.prog, RIG_STOP_MS, &status, &ms)); /* of its descendants nothing is left */
        fe_device_drop(&device);
        stand_drop(&s);
}
END_TEST

/* With --fd= of a connection to the caller; set: SECTION.KEY=VALUE, or NULL. */
static struct fe_conn start_on_connection(struct stand *s, char *set)
{
        char fd[32];
        char *argv[] = { getenv("VHOST_BROKER"), "--type=block", fd, "--blk-file", s->disk[1], set ? "--set" : NULL,
                         set, NULL };
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(fcntl(pair[1], F_SETFD, 0), 0);
        snprintf(fd, sizeof(fd), "--fd=%d", pair[1]);
        OK(prog_start(argv, &s->prog));
        close(pair[1]);
        return fe_adopt((struct fd){ pair[0] });
}

/* The broker serves the one connection it was given, and ends with it. */
START_TEST(fd_may_be_a_connection)
{
        struct stand s = stand_make();
        struct fe_device device;
        int status = 1;

        OK(fe_device_start_on(start_on_connection(&s, NULL), NULL, &device));
        OK(fe_device_stop(&device));
        OK(prog_end(&s.prog, FE_TIMEOUT_MS, &status));
        ck_assert_int_eq(status, 0);
        prog_done(&s.prog);
        stand_drop(&s);
}
END_TEST

/* There will be no other one. */
START_TEST(fd_may_be_a_connection_of_somebody_else)
{
        struct stand s = stand_make();
        struct fe_conn conn = start_on_connection(&s, (char[]){ "Device.AllowUser=54321" });
        int status = 0;

        OK(prog_end(&s.prog, RIG_START_MS, &status));
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        OK(prog_log_wait(&s.prog, 0, "connection refused: uid", 0));
        fe_close(&conn);
        prog_done(&s.prog);
        stand_drop(&s);
}
END_TEST

/* What a careless parent left open does not live on in the broker: the pipe hangs up although the broker runs. */
START_TEST(nothing_else_is_inherited)
{
        struct stand s = stand_make();
        char *argv[] = { getenv("VHOST_BROKER"), "--type=block", "--blk-file", s.disk[0], "--socket-path", s.socket[0],
                         NULL };
        struct pollfd ready = { .events = POLLIN };
        int left_open[2], status, ms;

        ck_assert_int_eq(pipe(left_open), 0);
        ck_assert_int_eq(fcntl(left_open[0], F_SETFD, FD_CLOEXEC), 0);
        OK(prog_start(argv, &s.prog));
        close(left_open[1]);
        OK(prog_ready(&s.prog, RIG_START_MS));
        ready.fd = left_open[0];
        ck_assert_int_eq(poll(&ready, 1, 0), 1);
        ck_assert_int_eq(ready.revents, POLLHUP);
        close(left_open[0]);
        OK(prog_stop(&s.prog, RIG_STOP_MS, &status, &ms));
        stand_drop(&s);
}
END_TEST

START_TEST(absent_processors_stop_the_start)
{
        struct stand s = stand_make();
        char *argv[] = { getenv("VHOST_BROKER"), "--type=block", "--blk-file", s.disk[0], "--socket-path", s.socket[0],
                         "--set", "Worker.CPUAffinity=1023", NULL };
        int status = 0;

        OK(prog_start(argv, &s.prog));
        OK(prog_end(&s.prog, RIG_START_MS, &status));
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        OK(prog_log_wait(&s.prog, 0, "CPUAffinity=: a worker can't run there: EINVAL", 0));
        prog_done(&s.prog);
        stand_drop(&s);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("activation");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_test(all, sockets_come_by_name);
        tcase_add_test(all, a_missing_name_costs_its_own_device);
        tcase_add_loop_test(all, a_broken_device_is_down_alone, 0, ARRAY_SIZE(mistakes));
        tcase_add_test(all, with_no_sound_device_it_does_not_start);
        tcase_add_test(all, the_watchdog_is_fed);
        tcase_add_test(all, stop_takes_less_than_a_second);
        tcase_add_test(all, the_end_of_its_terminal_is_its_own);
        tcase_add_test(all, fd_may_be_a_connection);
        tcase_add_test(all, fd_may_be_a_connection_of_somebody_else);
        tcase_add_test(all, nothing_else_is_inherited);
        tcase_add_test(all, absent_processors_stop_the_start);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
