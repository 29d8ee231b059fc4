/*
 * The image locks against the real ones: QEMU's programs must see ours and we theirs. Skipped without qemu-io.
 */
#include "array.h"
#include "resource.h"
#include "scratch.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        SKIPPED = 77,
        PATIENCE_MS = 20000,
        ARGUMENTS = 12,
};

static struct scratch scratch;
static struct device_config config;

static void enter(void)
{
        int fd;

        scratch_enter(&scratch);
        fd = open("disk", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
        close(fd);
        ck_assert_int_eq(config_init(&config, "d"), 0);
        config.type = &policy_block;
        config.block.path = strdup("disk");
}

static void leave(void)
{
        config_free(&config);
        scratch_leave(&scratch);
}

/* Starts a program with these ends as its stdin and stdout; exit status 127: it could not be executed. */
static pid_t start(const char *const *arguments, int in, int out)
{
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        if (dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2)
                execvp(arguments[0], (char **) arguments);
        _exit(127);
}

static int finish(pid_t pid)
{
        int status;

        return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The exit status of a program that needs no input. */
static int run(const char *const *arguments)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC), status;

        status = finish(start(arguments, null, null));
        close(null);
        return status;
}

/* --- QEMU comes second ----------------------------------------------------------------------------------------- */

static const struct {
        bool we_write;
        const char *arguments[ARGUMENTS];
        bool allowed;
} seconds[] = {
        { true,  { "qemu-io", "-f", "raw", "-c", "read 0 512", "disk" },       false },
        { true,  { "qemu-io", "-f", "raw", "-c", "write 0 512", "disk" },      false },
        { true,  { "qemu-img", "resize", "-f", "raw", "disk", "2M" },          false },
        { true,  { "qemu-img", "convert", "-f", "raw", "disk", "copy" },       false },
        { true,  { "qemu-img", "info", "-U", "-f", "raw", "disk" },            true },
        { false, { "qemu-io", "-r", "-f", "raw", "-c", "read 0 512", "disk" }, true },
        { false, { "qemu-io", "-f", "raw", "-c", "write 0 512", "disk" },      false },
        { false, { "qemu-img", "resize", "-f", "raw", "disk", "2M" },          false },
        { false, { "qemu-img", "info", "-f", "raw", "disk" },                  true },
};

START_TEST(qemu_second)
{
        struct resource resource;
        int status;

        config.block.read_only = !seconds[_i].we_write;
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        status = run(seconds[_i].arguments);
        ck_assert_msg((status == 0) == seconds[_i].allowed, "exit status %d", status);
        resource_done(&resource);

        /* With nobody there, it may whatever it likes. */
        ck_assert_int_eq(run(seconds[_i].arguments), 0);
}
END_TEST

/* --- QEMU comes first ------------------------------------------------------------------------------------------ */

#define WRITTEN "another process writes to it (Locking=off would not care)\n"

static const struct {
        const char *arguments[ARGUMENTS];
        bool we_write;
        const char *line; /* "": allowed */
} firsts[] = {
        { { "qemu-io", "-f", "raw", "disk" }, true, "disk: can't be used for writing: " WRITTEN },
        { { "qemu-io", "-f", "raw", "disk" }, false, "disk: can't be used for reading: " WRITTEN },
        { { "qemu-io", "-r", "-f", "raw", "disk" }, false, "" },
        { { "qemu-io", "-r", "-U", "-f", "raw", "disk" }, true, "" },
};

/* It opens the image before it asks for commands. */
static void await_prompt(int from)
{
        char text[512] = "";
        size_t used = 0;

        while (!strstr(text, "qemu-io>")) {
                struct pollfd wait = { .fd = from, .events = POLLIN };
                ssize_t n;

                ck_assert_int_eq(poll(&wait, 1, PATIENCE_MS), 1);
                n = read(from, text + used, sizeof(text) - 1 - used);
                ck_assert_msg(n > 0, "it said: %s", text);
                used += (size_t) n;
        }
}

START_TEST(qemu_first)
{
        int in[2], out[2], r;
        struct resource resource;
        pid_t pid;

        ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
        pid = start(firsts[_i].arguments, in[0], out[1]);
        ck_assert_int_gt(pid, 0);
        close(in[0]);
        close(out[1]);
        await_prompt(out[0]);

        config.block.read_only = !firsts[_i].we_write;
        r = resource_open(&config, &scratch.log, 0, &resource);
        ck_assert_str_eq(scratch.lines, firsts[_i].line);
        ck_assert_int_eq(r, firsts[_i].line[0] ? -EBUSY : 0);
        if (r == 0)
                resource_done(&resource);
        close(in[1]); /* it ends at the end of its commands */
        ck_assert_int_eq(finish(pid), 0);
        close(out[0]);
}
END_TEST

static bool have_qemu(void)
{
        static const char *const arguments[] = { "qemu-io", "--version", NULL };
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        pid_t pid = start(arguments, null, null);

        close(null);
        return pid > 0 && finish(pid) == 0;
}

int main(void)
{
        Suite *suite;
        TCase *all;
        SRunner *runner;
        int failed;

        if (!have_qemu())
                return SKIPPED;
        suite = suite_create("qemu_locks");
        all = tcase_create("all");
        tcase_set_timeout(all, 60);
        tcase_add_checked_fixture(all, enter, leave);
        tcase_add_loop_test(all, qemu_second, 0, (int) ARRAY_SIZE(seconds));
        tcase_add_loop_test(all, qemu_first, 0, (int) ARRAY_SIZE(firsts));
        suite_add_tcase(suite, all);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
