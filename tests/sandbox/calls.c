/*
 * The filters, tried: what must work works, and what an intruder would call next kills the process. Built once with
 * the filters of the session and once with those of the worker.
 */
#include "array.h"
#include "confine.h"
#include "policy.h"

#include <check.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct attempt {
        const char *name;
        long number;
        long argument[6];
        unsigned who; /* bits of those that may make it */
};

enum { NOBODY = 0, SESSION = 1 << POLICY_SESSION, WORKER = 1 << POLICY_WORKER };

static const struct attempt attempts[] = {
        { "openat", SYS_openat, { AT_FDCWD, 0, O_RDONLY }, NOBODY },
        { "socket", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 }, NOBODY },
        { "execve", SYS_execve, { 0, 0, 0 }, NOBODY },
        { "execveat", SYS_execveat, { -1, 0, 0, 0, 0 }, NOBODY },
        { "fork", SYS_clone, { SIGCHLD }, NOBODY },
        { "clone3", SYS_clone3, { 0, 0 }, NOBODY },
        { "kill", SYS_kill, { 1, 0 }, NOBODY },
        { "ptrace", SYS_ptrace, { 0, 0, 0, 0 }, NOBODY },
        { "process_vm_readv", SYS_process_vm_readv, { 1, 0, 0, 0, 0, 0 }, NOBODY },
        { "io_uring_setup", SYS_io_uring_setup, { 8, 0 }, NOBODY },
        { "io_uring_register", SYS_io_uring_register, { -1, 0, 0, 0 }, NOBODY },
        { "mprotect", SYS_mprotect, { 0, 0, PROT_EXEC }, NOBODY },
        { "mmap executable", SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 }, NOBODY },
        { "mmap", SYS_mmap, { 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 }, WORKER },
        { "prctl", SYS_prctl, { PR_SET_DUMPABLE, 1 }, NOBODY },
        { "seccomp", SYS_seccomp, { 0, 0, 0 }, NOBODY },
        { "unshare", SYS_unshare, { CLONE_NEWUSER }, NOBODY },
        { "mount", SYS_mount, { 0, 0, 0, 0, 0 }, NOBODY },
        { "userfaultfd", SYS_userfaultfd, { 0 }, NOBODY },
        { "F_SETFL append", SYS_fcntl, { -1, F_SETFL, O_APPEND }, SESSION },
        { "F_SETFL non-blocking", SYS_fcntl, { -1, F_SETFL, O_NONBLOCK }, SESSION | WORKER },
        { "F_SETLK", SYS_fcntl, { -1, F_SETLK, 0 }, NOBODY },
        { "F_DUPFD", SYS_fcntl, { -1, F_DUPFD, 100 }, NOBODY },
        { "sendmsg elsewhere", SYS_sendmsg, { 99, 0, 0 }, SESSION },
        { "recvmsg elsewhere", SYS_recvmsg, { 99, 0, 0 }, SESSION },
        { "close", SYS_close, { -1 }, SESSION | WORKER },
        { "unknown", 9999, { 0 }, NOBODY },
};

static void try_it(const struct policy_filter *filter, const struct attempt *attempt)
{
        const long *a = attempt->argument;
        bool allowed = attempt->who & 1u << filter->program;
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                if (confine_filter(filter->code, filter->n) < 0)
                        _exit(2);
                syscall(attempt->number, a[0], a[1], a[2], a[3], a[4], a[5]);
                _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (allowed)
                ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: %s is not allowed", filter->name,
                              attempt->name);
        else
                ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: %s is allowed", filter->name,
                              attempt->name);
}

START_TEST(run_filters_hold)
{
        unsigned tried = 0;

        for (size_t f = 0; f < policy_n_filters; f++) {
                if (policy_filters[f].stage != POLICY_RUN)
                        continue;
                for (size_t i = 0; i < ARRAY_SIZE(attempts); i++, tried++)
                        try_it(&policy_filters[f], &attempts[i]);
        }
        ck_assert_uint_ge(tried, ARRAY_SIZE(attempts));
}
END_TEST

START_TEST(run_filters_are_small)
{
        static const unsigned most[] = { [POLICY_SESSION] = 20, [POLICY_WORKER] = 18 };

        for (size_t f = 0; f < policy_n_filters; f++)
                if (policy_filters[f].stage == POLICY_RUN)
                        ck_assert_msg(policy_filters[f].calls <= most[policy_filters[f].program], "%s: %u calls",
                                      policy_filters[f].name, policy_filters[f].calls);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("calls");
        TCase *all = tcase_create("all");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(all, 60);
        tcase_add_test(all, run_filters_hold);
        tcase_add_test(all, run_filters_are_small);
        suite_add_tcase(suite, all);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
