/*
 * What the command line asks for, for real: a broker that serves, is who it should be, and gives the ids it should.
 */
#include "array.h"
#include "proc_view.h"
#include "rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RANGE = 1900000000, IDS = 64 };

struct place {
        char conf[64], run[64], disk[64], socket[64], file[3][96];
};

static void write_file(const char *path, const char *text, off_t bytes)
{
        FILE *file = fopen(path, "we");

        ck_assert(file != NULL);
        fputs(text, file);
        ck_assert_int_eq(bytes ? ftruncate(fileno(file), bytes) : 0, 0);
        ck_assert_int_eq(fclose(file), 0);
}

static struct place place_make(void)
{
        const char *base = getenv("RIG_DIR");
        char dir[48];
        struct place p;

        snprintf(dir, sizeof(dir), "%s/XXXXXX", base);
        ck_assert(mkdtemp(dir) != NULL);
        ck_assert_int_eq(chmod(dir, 0755), 0);
        snprintf(p.conf, sizeof(p.conf), "%s/conf", dir);
        snprintf(p.run, sizeof(p.run), "%s/run", dir);
        snprintf(p.disk, sizeof(p.disk), "%s/disk", dir);
        snprintf(p.socket, sizeof(p.socket), "%s/socket", dir);
        for (unsigned i = 0; i < ARRAY_SIZE(p.file); i++)
                snprintf(p.file[i], sizeof(p.file[i]), "%s/%c.conf", p.conf, 'a' + (int) i);
        ck_assert_int_eq(mkdir(p.conf, 0755), 0);
        write_file(p.disk, "", 1 << 20);
        return p;
}

/* Runs a command that ends by itself; what it said is in the log. */
static struct prog run(char *const argv[], int want)
{
        struct prog prog;
        int status = 0;

        OK(prog_start(argv, &prog));
        OK(prog_end(&prog, RIG_START_MS, &status));
        OK(prog_log_wait(&prog, 0, "", 0));
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == want, "status %#x: %s", status, prog.log);
        return prog;
}

static void expect_said(const struct prog *prog, const char *text)
{
        ck_assert_msg(strstr(prog->log, text) != NULL, "'%s' is not in: %s", text, prog->log);
}

/* One conversation in which a worker answers. */
static void expect_served(const char *socket)
{
        struct fe_device device;
        uint64_t sectors = 0;

        OK(fe_device_start(socket, NULL, &device));
        OK(fe_get_config(&device.conn, 0, &sectors, sizeof(sectors)));
        ck_assert_uint_eq(sectors, (1 << 20) / 512);
        OK(fe_device_stop(&device));
}

START_TEST(check_config_tells_all_mistakes)
{
        struct place p = place_make();
        char *argv[] = { getenv("VHOST_BROKER"), "--check-config", "--config", p.conf, NULL };
        char line[2][160];
        struct prog prog;

        write_file(p.file[0], "[Device]\nType=block\nNoSuchKey=1\n[Block]\nQueues=many\n", 0);
        write_file(p.file[1], "[Device]\nType=toaster\n", 0);
        prog = run(argv, EXIT_FAILURE);
        snprintf(line[0], sizeof(line[0]), "%s:3: ", p.file[0]);
        snprintf(line[1], sizeof(line[1]), "%s:5: ", p.file[0]);
        expect_said(&prog, line[0]);
        expect_said(&prog, line[1]);
        snprintf(line[0], sizeof(line[0]), "%s:2: ", p.file[1]);
        expect_said(&prog, line[0]);
        prog_done(&prog);
}
END_TEST

/* Of files without a mistake in them: disks and processors that are not there. */
START_TEST(check_config_looks_at_the_host)
{
        struct place p = place_make();
        char *argv[] = { getenv("VHOST_BROKER"), "--check-config", "--config", p.conf, NULL };
        char text[200], line[200];
        struct prog prog;

        snprintf(text, sizeof(text), "[Device]\nType=block\n[Block]\nPath=%s\n[Worker]\nCPUAffinity=1023\n", p.disk);
        write_file(p.file[0], text, 0);
        write_file(p.file[1], "[Device]\nType=block\n[Block]\nPath=/nowhere/disk\n", 0);
        write_file(p.file[2], "[Device]\nType=rng\n", 0);
        prog = run(argv, EXIT_FAILURE);
        snprintf(line, sizeof(line), "%s:6: CPUAffinity=: a worker can't run there: EINVAL", p.file[0]);
        expect_said(&prog, line);
        expect_said(&prog, "/nowhere/disk");
        expect_said(&prog, "ENOENT");
        prog_done(&prog);
        unlink(p.file[1]);
        unlink(p.file[0]);
        prog = run(argv, EXIT_SUCCESS);
        ck_assert_str_eq(prog.log, "");
        prog_done(&prog);
}
END_TEST

/* It makes no socket and takes no lock: a broker that runs on the same files has both, and keeps them. */
START_TEST(check_config_leaves_a_broker_alone)
{
        RIG_WITH(rig, .neighbour = true);
        char conf[RIG_PATH_MAX];
        char *checks[] = { getenv("VHOST_BROKER"), "--check-config", "--config", conf, NULL };
        char *starts[] = { getenv("VHOST_BROKER"), "--config", conf, "--control-socket=none", NULL };
        struct prog prog;

        snprintf(conf, sizeof(conf), "%s/conf", rig.dir);
        prog = run(checks, EXIT_SUCCESS);
        ck_assert_str_eq(prog.log, "");
        prog_done(&prog);
        rig_check_alive(&rig);
        prog = run(starts, EXIT_FAILURE);
        expect_said(&prog, "another process uses it");
        prog_done(&prog);
}
END_TEST

START_TEST(check_config_judges_the_command_line)
{
        struct place p = place_make();
        char *argv[] = { getenv("VHOST_BROKER"),
                         "--check-config",
                         "--type=block",
                         "--blk-file",
                         p.disk,
                         "--socket-path",
                         p.socket,
                         NULL };
        struct prog prog = run(argv, EXIT_SUCCESS);

        ck_assert_str_eq(prog.log, "");
        ck_assert_int_lt(access(p.socket, F_OK), 0);
        prog_done(&prog);
        argv[4] = p.run; /* nothing is there */
        prog = run(argv, EXIT_FAILURE);
        expect_said(&prog, p.run);
        prog_done(&prog);
}
END_TEST

/* A broker that was started with these words at the end serves, more than once, until it is told to end. */
static struct prog start_serving(char *const argv[], const char *socket)
{
        struct prog prog;
        int r;

        OK(prog_start(argv, &prog));
        r = prog_ready(&prog, RIG_START_MS);
        ck_assert_msg(r == 0, "%s", prog.log);
        expect_served(socket);
        expect_served(socket);
        return prog;
}

static void stop(struct prog *prog)
{
        int status = 0, ms;

        OK(prog_stop(prog, RIG_STOP_MS, &status, &ms));
        ck_assert_int_eq(status, 0);
}

START_TEST(its_name_says_the_type)
{
        struct place p = place_make();
        char name[96];
        char *argv[] = { name, "--blk-file", p.disk, "--socket-path", p.socket, NULL };
        struct prog prog;

        ck_assert_int_eq(mkdir(p.run, 0755), 0);
        snprintf(name, sizeof(name), "%s/vhost-user-block", p.run);
        ck_assert_int_eq(symlink(getenv("VHOST_BROKER"), name), 0);
        prog = start_serving(argv, p.socket);
        stop(&prog);
}
END_TEST

START_TEST(fd_may_listen)
{
        struct place p = place_make();
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int listening = socket(AF_UNIX, SOCK_STREAM, 0); /* inherited */
        char option[32];
        char *argv[] = { getenv("VHOST_BROKER"), "--type=block", "--blk-file", p.disk, option, NULL };
        struct prog prog;

        snprintf(option, sizeof(option), "--fd=%d", listening);
        strcpy(address.sun_path, p.socket);
        ck_assert_int_eq(bind(listening, (struct sockaddr *) &address, sizeof(address)), 0);
        ck_assert_int_eq(listen(listening, 8), 0);
        prog = start_serving(argv, p.socket);
        close(listening);
        expect_served(p.socket);
        stop(&prog);
}
END_TEST

static const struct {
        const char *option; /* NULL: none */
        uid_t uid;
} users[] = {
        {"--user=12345",   12345},
        { "--user=nobody", 65534}
};

START_TEST(it_is_the_user_asked_for)
{
        struct place p = place_make();
        char *argv[] = { getenv("VHOST_BROKER"),
                         "--type=block",
                         "--blk-file",
                         p.disk,
                         "--socket-path",
                         p.socket,
                         (char *) users[_i].option,
                         NULL };
        struct prog prog;

        if (geteuid() != 0)
                return; /* only root may become another */
        prog = start_serving(argv, p.socket);
        ck_assert_uint_eq(proc_status_number(prog.pid, "Uid"), users[_i].uid);
        ck_assert_uint_eq(proc_status_number(prog.pid, "Gid"), users[_i].uid);
        stop(&prog);
}
END_TEST

static void expect_id_of_range(pid_t pid)
{
        ck_assert_uint_gt(proc_status_number(pid, "Uid"), RANGE);
        ck_assert_uint_lt(proc_status_number(pid, "Uid"), RANGE + IDS);
        ck_assert_uint_eq(proc_status_number(pid, "Uid"), proc_status_number(pid, "Gid"));
}

START_TEST(ids_are_of_the_range_asked_for)
{
        struct place p = place_make();
        char range[64];
        char *argv[] = { getenv("VHOST_BROKER"),
                         "--type=block",
                         "--blk-file",
                         p.disk,
                         "--socket-path",
                         p.socket,
                         "--run-dir",
                         p.run,
                         range,
                         NULL };
        struct fe_device device;
        struct prog prog;
        pid_t session, worker;

        if (geteuid() != 0)
                return; /* only root may give ids */
        snprintf(range, sizeof(range), "--uid-range=%d:%d", RANGE, IDS);
        prog = start_serving(argv, p.socket);
        OK(fe_device_start(p.socket, NULL, &device));
        session = rig_child(&(struct rig){ .prog = prog }, "vhost-session");
        worker = rig_child(&(struct rig){ .prog = prog }, "vhost-worker");
        expect_id_of_range(session);
        expect_id_of_range(worker);
        ck_assert_uint_ne(proc_status_number(session, "Uid"), proc_status_number(worker, "Uid"));
        OK(fe_device_stop(&device));
        stop(&prog);
        snprintf(range, sizeof(range), "--uid-range=%d:%d", RANGE, 2);
        prog = run(argv, EXIT_FAILURE);
        expect_said(&prog, "(--uid-range= gives more)");
        prog_done(&prog);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("options");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_test(all, check_config_tells_all_mistakes);
        tcase_add_test(all, check_config_looks_at_the_host);
        tcase_add_test(all, check_config_leaves_a_broker_alone);
        tcase_add_test(all, check_config_judges_the_command_line);
        tcase_add_test(all, its_name_says_the_type);
        tcase_add_test(all, fd_may_listen);
        tcase_add_loop_test(all, it_is_the_user_asked_for, 0, ARRAY_SIZE(users));
        tcase_add_test(all, ids_are_of_the_range_asked_for);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
