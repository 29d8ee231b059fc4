/*
 * Single steps by ptrace.
 */
#include "stepper.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

void *stepper_memory(size_t len)
{
        void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        ck_assert(memory != MAP_FAILED);
        return memory;
}

static pid_t spawn(const struct stepper *stepper)
{
        pid_t pid = fork();

        ck_assert(pid >= 0);
        if (pid)
                return pid;
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                _exit(2);
        raise(SIGSTOP);
        stepper->run(stepper->context);
        _exit(0);
}

/* False: it has ended. */
static bool step(pid_t pid)
{
        int status;

        ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (WIFSTOPPED(status)) {
                ck_assert_int_eq(WSTOPSIG(status), SIGTRAP);
                return true;
        }
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return false;
}

unsigned stepper_run(const struct stepper *stepper)
{
        void *last = malloc(stepper->len);
        unsigned looks = 0;
        pid_t pid;
        int status;

        ck_assert(last != NULL);
        memcpy(last, stepper->shared, stepper->len);
        pid = spawn(stepper);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        while (step(pid)) {
                if (memcmp(last, stepper->shared, stepper->len) == 0)
                        continue;
                memcpy(last, stepper->shared, stepper->len);
                stepper->look(stepper->context, last);
                looks++;
        }
        free(last);
        return looks;
}
