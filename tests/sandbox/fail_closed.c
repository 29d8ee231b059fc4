/*
 * Each stage of confinement is made to fail, by a kernel that refuses the system call it needs (with_fault): then no
 * request is served, the front-end's connection ends, and the log names the stage (security goal G25). What the
 * config allows to be missing may be missing, and is said.
 */
#include "array.h"
#include "rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fault {
        const char *call;
        int error;
        const char *log; /* what the broker must say */
};

/* Faults in what is done for each connection. */
static const struct fault faults[] = {
        { "setns", EPERM, "entering the range namespace: EPERM" },
        { "sethostname", EPERM, "a host name that tells nothing: EPERM" },
        { "close_range", ENOSYS, "its file descriptors: ENOSYS" },
        { "execveat", EACCES, "executing its program: EACCES" },
        { "landlock_create_ruleset", ENOSYS, "landlock" },
        { "landlock_restrict_self", EPERM, "landlock" },
};

/* Faults in what is done once. */
static const struct fault faults_at_start[] = {
        { "pivot_root", EPERM, "an empty root for the children: EPERM" },
        { "mount", EPERM, "an empty root for the children: EPERM" },
        { "umount2", EBUSY, "an empty root for the children: EBUSY" },
        { "seccomp", EINVAL, "the broker's own system call filter: EINVAL" },
        { "memfd_create", EMFILE, "block: a memory file for its statistics: EMFILE" },
};

struct words {
        char text[24][200];
        char *argv[25];
        unsigned n;
};

static void word(struct words *words, const char *text)
{
        ck_assert_uint_lt(words->n, ARRAY_SIZE(words->text));
        snprintf(words->text[words->n], sizeof(words->text[0]), "%s", text);
        words->argv[words->n] = words->text[words->n];
        words->argv[++words->n] = NULL;
}

struct stand {
        char dir[64], socket[100], disk[100];
        struct prog prog;
};

/* Starts a broker behind the given words (with_fault, for example); the last ones may be NULL. */
static void stand_start(struct stand *stand, const char *const *before, const char *set, bool ready)
{
        const char *broker = getenv("VHOST_BROKER"), *base = getenv("RIG_DIR");
        struct words words = { .n = 0 };
        char option[160];
        FILE *disk;

        ck_assert(broker != NULL);
        snprintf(stand->dir, sizeof(stand->dir), "%s/XXXXXX", base ? base : "/tmp");
        ck_assert(mkdtemp(stand->dir) != NULL);
        snprintf(stand->socket, sizeof(stand->socket), "%s/s", stand->dir);
        snprintf(stand->disk, sizeof(stand->disk), "%s/disk", stand->dir);
        disk = fopen(stand->disk, "we");
        ck_assert(disk != NULL);
        ck_assert_int_eq(ftruncate(fileno(disk), 1 << 20), 0);
        fclose(disk);
        while (*before)
                word(&words, *before++);
        word(&words, broker);
        word(&words, "--type=block");
        snprintf(option, sizeof(option), "--socket-path=%s", stand->socket);
        word(&words, option);
        snprintf(option, sizeof(option), "--blk-file=%s", stand->disk);
        word(&words, option);
        if (set) {
                word(&words, "--set");
                word(&words, set);
        }
        OK(prog_start(words.argv, &stand->prog));
        if (ready)
                OK(prog_ready(&stand->prog, RIG_START_MS));
}

static void stand_stop(struct stand *stand)
{
        int status, ms;

        OK(prog_stop(&stand->prog, RIG_STOP_MS, &status, &ms));
        unlink(stand->socket);
        unlink(stand->disk);
        rmdir(stand->dir);
}

/* The connection ends, and GET_FEATURES was not answered. */
static void check_refused(const struct stand *stand)
{
        struct fe_device device;
        int r = fe_device_start(stand->socket, NULL, &device);

        ck_assert_msg(r < 0 && r != -ETIMEDOUT, "a device was served: %d", r);
}

START_TEST(a_failing_stage_serves_nothing)
{
        const struct fault *fault = &faults[_i];
        char error[16];
        const char *before[] = { getenv("WITH_FAULT"), fault->call, error, NULL };
        struct stand stand;

        snprintf(error, sizeof(error), "%d", fault->error);
        stand_start(&stand, before, NULL, true);
        check_refused(&stand);
        OK(prog_log_wait(&stand.prog, 0, fault->log, FE_TIMEOUT_MS));
        stand_stop(&stand);
}
END_TEST

START_TEST(what_the_config_allows_may_be_missing)
{
        const char *before[] = { getenv("WITH_FAULT"), "landlock_create_ruleset", "38", NULL }; /* ENOSYS */
        struct fe_device device;
        struct stand stand;

        stand_start(&stand, before, "sandbox.maylack=landlock", true);
        OK(fe_device_start(stand.socket, NULL, &device));
        OK(prog_log_wait(&stand.prog, 0, "without landlock", FE_TIMEOUT_MS));
        OK(fe_device_stop(&device));
        stand_stop(&stand);
}
END_TEST

START_TEST(without_what_all_need_it_does_not_start)
{
        const struct fault *fault = &faults_at_start[_i];
        char error[16];
        const char *before[] = { getenv("WITH_FAULT"), fault->call, error, NULL };
        struct stand stand;
        int status = 0;

        snprintf(error, sizeof(error), "%d", fault->error);
        stand_start(&stand, before, NULL, false);
        OK(prog_end(&stand.prog, RIG_START_MS, &status));
        ck_assert_int_ne(status, 0);
        OK(prog_log_wait(&stand.prog, 0, fault->log, 0));
        prog_done(&stand.prog);
        unlink(stand.socket);
        unlink(stand.disk);
        rmdir(stand.dir);
}
END_TEST

static const char *const no_namespaces[] = {
        "unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "sh", "-c",
        "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all -- \"$@\"",
        "sh", NULL,
};

START_TEST(without_user_namespaces_it_does_not_start)
{
        struct stand stand;
        int status = 0;

        stand_start(&stand, no_namespaces, NULL, false);
        OK(prog_end(&stand.prog, RIG_START_MS, &status));
        ck_assert_int_ne(status, 0);
        OK(prog_log_wait(&stand.prog, 0, "namespaces: this host makes no user namespace", 0));
        prog_done(&stand.prog);
        unlink(stand.socket);
        unlink(stand.disk);
        rmdir(stand.dir);
}
END_TEST

START_TEST(without_user_namespaces_if_every_config_agrees)
{
        struct fe_device device;
        struct stand stand;

        stand_start(&stand, no_namespaces, "sandbox.maylack=namespaces uids", true);
        OK(fe_device_start(stand.socket, NULL, &device));
        OK(prog_log_wait(&stand.prog, 0, "without namespaces, without uids of its own", FE_TIMEOUT_MS));
        OK(fe_device_stop(&device));
        stand_stop(&stand);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("fail_closed");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_loop_test(all, a_failing_stage_serves_nothing, 0, ARRAY_SIZE(faults));
        tcase_add_loop_test(all, without_what_all_need_it_does_not_start, 0, ARRAY_SIZE(faults_at_start));
        tcase_add_test(all, what_the_config_allows_may_be_missing);
        tcase_add_test(all, without_user_namespaces_it_does_not_start);
        tcase_add_test(all, without_user_namespaces_if_every_config_agrees);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
