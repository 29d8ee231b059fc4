/*
 * A broker that an ordinary user starts: it serves, confined as far as that user can have it, says what is missing, and
 * answers that user, and no other one but root.
 */
#include "proc_view.h"
#include "run_ctl.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USER = 23456, OTHER = 34567 };

static bool is_possible(void)
{
        int status = -1;
        pid_t pid = fork();

        if (pid == 0)
                _exit(setresgid(USER, USER, USER) < 0 || setresuid(USER, USER, USER) < 0 || unshare(CLONE_NEWUSER) < 0);
        return waitpid(pid, &status, 0) == pid && status == 0;
}

static void expect_users_own(pid_t pid)
{
        ck_assert_uint_eq(proc_status_number(pid, "Uid"), USER);
        ck_assert_uint_eq(proc_status_hex(pid, "CapPrm"), 0);
        ck_assert_uint_eq(proc_status_hex(pid, "CapEff"), 0);
        ck_assert_uint_eq(proc_status_number(pid, "NoNewPrivs"), 1);
        ck_assert_uint_eq(proc_status_number(pid, "Seccomp"), 2);
}

START_TEST(it_serves_under_one_uid_and_says_so)
{
        RIG_WITH(rig, .user = USER);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });
        struct drv_blk blk = rig_blk(&device, 1);
        pid_t session = rig_child(&rig, "vhost-session"), worker = rig_child(&rig, "vhost-worker");

        OK(prog_log_wait(&rig.prog, 0,
                         "not privileged: sessions and workers share the broker's own uid 23456 and its "
                         "groups",
                         0));
        rig_read_one(&rig, &blk);
        expect_users_own(rig.prog.pid);
        expect_users_own(session);
        expect_users_own(worker);
        ck_assert_uint_ne(proc_namespace(session, "user"), proc_namespace(worker, "user"));
        ck_assert_uint_ne(proc_namespace(worker, "mnt"), proc_namespace(getpid(), "mnt"));
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(it_answers_that_user_and_no_other)
{
        RIG_WITH(rig, .user = USER);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct ctl_said said;
        char line[64];

        CTL_AS(USER, USER, &rig, &said, "list");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "serving");
        ctl_expect_text(&said, "uids");
        CTL_AS(USER, USER, &rig, &said, "show", "block");
        ctl_expect(&said, 0);
        snprintf(line, sizeof(line), "worker_pid             %d\n", (int) rig_child(&rig, "vhost-worker"));
        ctl_expect_text(&said, line);
        CTL_AS(USER, USER, &rig, &said, "stats", "block");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "reads");
        CTL_AS(USER, USER, &rig, &said, "inspect", "block");
        ctl_expect(&said, 5);
        CTL(&rig, &said, "inspect", "block"); /* as root */
        ctl_expect(&said, 1);
        ctl_expect_text(&said, "uid 23456 is also that of process");
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(it_refuses_any_other_user)
{
        RIG_WITH(rig, .user = USER);
        struct ctl_said said;

        CTL_AS(OTHER, OTHER, &rig, &said, "list");
        ctl_expect(&said, 5);
        ck_assert_int_eq(chmod(rig.control, 0666), 0); /* the file's mode is not all that keeps strangers out */
        CTL_AS(OTHER, OTHER, &rig, &said, "list");
        ctl_expect(&said, 5);
        CTL_AS(OTHER, OTHER, &rig, &said, "show", "block");
        ctl_expect(&said, 5);
        CTL_AS(OTHER, OTHER, &rig, &said, "stats");
        ctl_expect(&said, 5);
        OK(prog_log_wait(&rig.prog, 0, "control: uid 34567 gid 34567 may not ask", FE_TIMEOUT_MS));
}
END_TEST

/* Where the programs were built may be out of that user's reach. */
static void lay_out(void)
{
        ctl_lay_out((const char *const[]){ "BUILT_BROKER", "BUILT_SESSION", "BUILT_WORKER", "BUILT_CTL" });
}

int main(void)
{
        Suite *suite = suite_create("ctl_ordinary");
        TCase *all = tcase_create("all");

        if (geteuid() != 0) {
                puts("skipped: only root may become several users");
                return 77;
        }
        if (!is_possible()) {
                puts("skipped: this host lets no ordinary user make a user namespace");
                return 77;
        }
        tcase_set_timeout(all, 60);
        tcase_add_unchecked_fixture(all, lay_out, NULL);
        tcase_add_test(all, it_serves_under_one_uid_and_says_so);
        tcase_add_test(all, it_answers_that_user_and_no_other);
        tcase_add_test(all, it_refuses_any_other_user);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
