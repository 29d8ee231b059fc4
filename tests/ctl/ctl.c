/*
 * vhostctl against real brokers: what it says of devices, and its exit statuses.
 */
#include "run_ctl.h"

#include "array.h"

#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const engines[] = { "uring", "sync", "null" };

/* Its last connection's I/O may still be draining; of that no event tells. */
static void await_idle(const struct rig *rig, struct ctl_said *said)
{
        const struct timespec tick = { .tv_nsec = 5000000 };
        long long deadline = fe_deadline(FE_TIMEOUT_MS);

        for (;;) {
                CTL(rig, said, "list");
                ctl_expect(said, 0);
                if (strstr(said->out, " idle ") || !fe_left_ms(deadline))
                        break;
                nanosleep(&tick, NULL);
        }
        ctl_expect_text(said, " idle ");
}

START_TEST(it_lists_idle_and_serving)
{
        RIG_WITH(rig, .engine = engines[_i]);
        struct ctl_said said;
        struct fe_device device;
        char pids[64];

        await_idle(&rig, &said);
        device = rig_device(&rig, (struct fe_options){ .queues = 2 });
        CTL(&rig, &said, "list");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "serving");
        ctl_expect_text(&said, engines[_i]);
        snprintf(pids, sizeof(pids), "%d,%d", (int) rig_child(&rig, "vhost-session"),
                 (int) rig_child(&rig, "vhost-worker"));
        ctl_expect_text(&said, pids);
        CTL(&rig, &said, "list", "--json");
        ctl_expect(&said, 0);
        ctl_expect_json(&said);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(it_shows_the_config_in_force)
{
        RIG_WITH(rig, .read_only = true,
                 .set = { "device.vm=the \"first\"", "block.serial=A1", "worker.threads=2", "worker.cpuaffinity=0",
                          "device.allowuser=0 12345", "sandbox.maylack=landlock" });
        struct ctl_said said;
        char line[RIG_PATH_MAX + 32];

        CTL(&rig, &said, "show", "block");
        ctl_expect(&said, 0);
        snprintf(line, sizeof(line), "path                   %s\n", rig.disk);
        ctl_expect_text(&said, line);
        snprintf(line, sizeof(line), "socket                 %s\n", rig.socket);
        ctl_expect_text(&said, line);
        ctl_expect_text(&said, "vm                     the \"first\"\n");
        ctl_expect_text(&said, "serial                 A1\n");
        ctl_expect_text(&said, "threads                2\n");
        ctl_expect_text(&said, "cpu_affinity           0\n");
        ctl_expect_text(&said, "allow_user             0 12345\n");
        ctl_expect_text(&said, "read_only              yes\n");
        ctl_expect_text(&said, "capacity               16777216\n");
        ctl_expect_text(&said, "may_be_missing         landlock\n");
        CTL(&rig, &said, "show", "--json", "block");
        ctl_expect(&said, 0);
        ctl_expect_json(&said);
        ctl_expect_text(&said, "\"vm\":\"the \\\"first\\\"\"");
}
END_TEST

START_TEST(it_shows_the_limits_in_force)
{
        RIG_WITH(rig, .hold_ms = 1234, .set = { "limits.memoryregions=77", "limits.memory=3G",
                                                "limits.loglinespersecond=3", "limits.replyms=0" });
        struct ctl_said said;

        CTL(&rig, &said, "show", "block");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "memory_regions         77\n");
        ctl_expect_text(&said, "memory                 3221225472\n");
        ctl_expect_text(&said, "hold_ms                1234\n");
        ctl_expect_text(&said, "log_lines_per_second   3\n");
        ctl_expect_text(&said, "reply_ms               0\n");
        CTL(&rig, &said, "show", "--json", "block");
        ctl_expect_json(&said);
        ctl_expect_text(&said, "\"limits\":{\"setup_ms\":");
}
END_TEST

START_TEST(two_devices_are_two_lines)
{
        RIG_WITH(rig, .neighbour = true);
        struct ctl_said said;

        CTL(&rig, &said, "list");
        ctl_expect_text(&said, "\na  ");
        ctl_expect_text(&said, "\nb  ");
        CTL(&rig, &said, "show", "b");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, rig.other_disk);
}
END_TEST

/* A device whose disk is missing is listed, and costs the other one nothing. */
START_TEST(who_is_down_is_listed)
{
        RIG_WITH(rig, .neighbour = true);
        struct ctl_said said;
        int status, ms;

        OK(prog_stop(&rig.prog, RIG_STOP_MS, &status, &ms));
        ck_assert_int_eq(unlink(rig.other_disk), 0);
        rig_restart(&rig);
        CTL(&rig, &said, "list");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "b                    -      down");
        CTL(&rig, &said, "show", "b");
        ctl_expect(&said, 0);
        CTL(&rig, &said, "inspect");
        ctl_expect(&said, geteuid() == 0 ? 0 : 5); /* only a broker is there: nothing of it depends on the build */
}
END_TEST

/* For this process and those that it starts from now on: the broker, and one whose socket is of another kind. */
static struct fd take_usual_places(const struct rig *rig)
{
        const struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "/run/vhost-broker/other.control" };
        struct fd other = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };

        ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
        ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
        ck_assert_int_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
        ck_assert_int_eq(mkdir("/run/vhost-broker", 0755), 0);
        ck_assert_int_eq(symlink(rig->control, "/run/vhost-broker/control.sock"), 0);
        ck_assert_int_eq(bind(other.num, (const struct sockaddr *) &at, sizeof(at)), 0);
        ck_assert_int_eq(listen(other.num, 1), 0);
        return other;
}

START_TEST(a_broker_that_is_mute_hides_no_other)
{
        RIG(rig);
        struct fd other = take_usual_places(&rig);
        struct ctl_said said;

        ctl_run(NULL, &said, (const char *const[]){ "list", NULL });
        ctl_expect(&said, 7);
        ctl_expect_text(&said, "\nblock  ");
        ck_assert_str_eq(said.err, "vhostctl: /run/vhost-broker/other.control: EPROTOTYPE\n");
        ctl_run(NULL, &said, (const char *const[]){ "show", "block", NULL });
        ctl_expect(&said, 0);
        ck_assert_str_eq(said.err, "");
        fd_close(&other);
        ctl_run(NULL, &said, (const char *const[]){ "list", NULL });
        ctl_expect(&said, 0); /* a socket that was left behind is nobody's */
        ck_assert_str_eq(said.err, "");
}
END_TEST

START_TEST(mistakes_have_their_statuses)
{
        RIG(rig);
        struct ctl_said said;

        CTL(&rig, &said, "show", "nothing");
        ctl_expect(&said, 4);
        CTL(&rig, &said, "show");
        ctl_expect(&said, 2);
        CTL(&rig, &said, "dance");
        ctl_expect(&said, 2);
        CTL(&rig, &said, "list", "block");
        ctl_expect(&said, 2);
        CTL(&rig, &said, "list", "--nonsense");
        ctl_expect(&said, 2);
        CTL(&rig, &said, "--help");
        ctl_expect(&said, 0);
        CTL(&rig, &said, "--version");
        ctl_expect(&said, 0);
        ctl_run(rig.socket, &said, (const char *const[]){ "list", NULL });
        ctl_expect(&said, 7);
        ctl_run("/nowhere/at/all", &said, (const char *const[]){ "list", NULL });
        ctl_expect(&said, 3);
        CTL(&rig, &said, "inspect", "block");
        ctl_expect(&said, geteuid() == 0 ? 6 : 5);
}
END_TEST

START_TEST(systemd_may_pass_the_socket)
{
        char passed[RIG_PATH_MAX], option[RIG_PATH_MAX + 32];
        char *argv[] = { "systemd-socket-activate", "--seqpacket", "-l", passed, "--fdname=control",
                         getenv("VHOST_BROKER"), "--type=rng", option, NULL };
        struct ctl_said said;
        struct prog prog;
        int status, ms;

        snprintf(passed, sizeof(passed), "%s/passed", getenv("RIG_DIR"));
        snprintf(option, sizeof(option), "--socket-path=%s/rng", getenv("RIG_DIR"));
        OK(prog_start(argv, &prog));
        OK(prog_log_wait(&prog, 0, "Listening on", FE_TIMEOUT_MS));
        ctl_run(passed, &said, (const char *const[]){ "list", NULL });
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "\nrng                  rng    idle");
        OK(prog_stop(&prog, RIG_STOP_MS, &status, &ms));
}
END_TEST

START_TEST(only_root_and_the_group_may_ask)
{
        RIG_WITH(rig, .control_group = "12345");
        struct ctl_said said;

        CTL_AS(23456, 12345, &rig, &said, "list");
        ctl_expect(&said, 0);
        CTL_AS(23456, 12345, &rig, &said, "stats");
        ctl_expect(&said, 0);
        CTL_AS(23456, 12345, &rig, &said, "inspect");
        ctl_expect(&said, 5);
        CTL_AS(23456, 23456, &rig, &said, "list");
        ctl_expect(&said, 5);
        /* The file's mode is not all that keeps strangers out. */
        ck_assert_int_eq(chmod(rig.control, 0666), 0);
        CTL_AS(23456, 23456, &rig, &said, "list");
        ctl_expect(&said, 5);
        OK(prog_log_wait(&rig.prog, 0, "control: uid 23456 gid 23456 may not ask", FE_TIMEOUT_MS));
}
END_TEST

static void expect_all_in_force(const struct rig *rig)
{
        struct ctl_said said;

        CTL(rig, &said, "inspect");
        ctl_expect(&said, 0);
        ck_assert(strstr(said.out, "SHORT") == NULL);
        ctl_expect_text(&said, "byte by byte");
        ctl_expect_text(&said, "\n0 shortfalls");
}

START_TEST(inspect_finds_all_in_force)
{
        RIG_WITH(rig, .engine = engines[_i], .set = { "worker.threads=2" });
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 4 });
        struct ctl_said said;

        expect_all_in_force(&rig);
        CTL(&rig, &said, "--json", "inspect", "block");
        ctl_expect(&said, 0);
        ctl_expect_json(&said);
        CTL(&rig, &said, "--quiet", "inspect", "block");
        ctl_expect(&said, 0);
        ck_assert_str_eq(said.out, "");
        CTL(&rig, &said, "--no-stop", "inspect", "block");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "--no-stop");
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(inspect_knows_devices_apart)
{
        RIG_WITH(rig, .neighbour = true);
        struct fe_device first = rig_device(&rig, (struct fe_options){ .queues = 1 }), second;

        OK(fe_device_start(rig.other_socket, NULL, &second));
        expect_all_in_force(&rig);
        OK(fe_device_stop(&second));
        OK(fe_device_stop(&first));
}
END_TEST

/* Guests go on while they are inspected. */
START_TEST(inspect_disturbs_nobody)
{
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct ctl_said said;
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                for (unsigned i = 0; i < 5; i++)
                        CTL(&rig, &said, "inspect", "block");
                _exit(said.status);
        }
        while (waitpid(pid, &status, WNOHANG) == 0)
                rig_read_one(&rig, &blk);
        ck_assert_int_eq(status, 0);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ctl");
        TCase *all = tcase_create("all"), *inspect = tcase_create("inspect");

        tcase_set_timeout(all, 60);
        tcase_set_timeout(inspect, 60);
        tcase_add_loop_test(all, it_lists_idle_and_serving, 0, ARRAY_SIZE(engines));
        tcase_add_test(all, it_shows_the_config_in_force);
        tcase_add_test(all, it_shows_the_limits_in_force);
        tcase_add_test(all, two_devices_are_two_lines);
        tcase_add_test(all, who_is_down_is_listed);
        tcase_add_test(all, mistakes_have_their_statuses);
        tcase_add_test(all, systemd_may_pass_the_socket);
        if (geteuid() == 0) {
                tcase_add_test(all, a_broker_that_is_mute_hides_no_other);
                tcase_add_test(all, only_root_and_the_group_may_ask);
        }
        suite_add_tcase(suite, all);
        if (geteuid() == 0 && !getenv("SANITIZED")) {
                tcase_add_loop_test(inspect, inspect_finds_all_in_force, 0, ARRAY_SIZE(engines));
                tcase_add_test(inspect, inspect_knows_devices_apart);
                tcase_add_loop_test(inspect, inspect_disturbs_nobody, 0, 2);
                suite_add_tcase(suite, inspect);
        }
        return rig_main(suite);
}
