/*
 * Stores are seen by their faults: the child's shared memory is read-only but for one instruction at a time, which the
 * processor's trap flag ends.
 */
#include "stepper.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { TRAP_FLAG = 0x100, STACK = 64 << 10 };

void *stepper_memory(size_t len)
{
        void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        ck_assert(memory != MAP_FAILED);
        return memory;
}

/* What the child's handlers must know lies where a signal stack would, for that is the one address that they are told. */
static void tell_handlers(const struct stepper *stepper)
{
        stack_t stack = { .ss_sp = malloc(STACK), .ss_size = STACK };

        if (!stack.ss_sp || sigaltstack(&stack, NULL) < 0)
                abort();
        memcpy(stack.ss_sp, stepper, sizeof(*stepper));
}

static const struct stepper *told(const void *context)
{
        return ((const ucontext_t *) context)->uc_stack.ss_sp;
}

static void set_trap(void *context, bool on)
{
        greg_t *flags = &((ucontext_t *) context)->uc_mcontext.gregs[REG_EFL];

        *flags = on ? *flags | TRAP_FLAG : *flags & ~(greg_t) TRAP_FLAG;
}

/* The store that faulted is done again, alone. */
static void on_store(int signal, siginfo_t *info, void *context)
{
        const struct stepper *stepper = told(context);
        const char *at = info->si_addr, *shared = stepper->shared;

        (void) signal;
        if (at < shared || at >= shared + stepper->len)
                abort();
        mprotect(stepper->shared, stepper->len, PROT_READ | PROT_WRITE);
        set_trap(context, true);
}

/* It is done: the parent looks while we are stopped. */
static void on_stored(int signal, siginfo_t *info, void *context)
{
        const struct stepper *stepper = told(context);

        (void) signal;
        (void) info;
        set_trap(context, false);
        raise(SIGSTOP);
        mprotect(stepper->shared, stepper->len, PROT_READ);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *))
{
        const struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

        if (sigaction(signal, &action, NULL) < 0)
                abort();
}

static pid_t spawn(const struct stepper *stepper)
{
        pid_t pid = fork();

        ck_assert(pid >= 0);
        if (pid)
                return pid;
        tell_handlers(stepper);
        handle(SIGSEGV, on_store);
        handle(SIGTRAP, on_stored);
        mprotect(stepper->shared, stepper->len, PROT_READ);
        stepper->run(stepper->context);
        _exit(0);
}

/* False: it has ended. */
static bool next_store(pid_t pid)
{
        int status;

        ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
        if (WIFSTOPPED(status))
                return true;
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return false;
}

unsigned stepper_run(const struct stepper *stepper)
{
        void *last = malloc(stepper->len);
        unsigned looks = 0;
        pid_t pid;

        ck_assert(last != NULL);
        memcpy(last, stepper->shared, stepper->len);
        pid = spawn(stepper);
        while (next_store(pid)) {
                if (memcmp(last, stepper->shared, stepper->len) != 0) {
                        memcpy(last, stepper->shared, stepper->len);
                        stepper->look(stepper->context, last);
                        looks++;
                }
                kill(pid, SIGCONT);
        }
        free(last);
        return looks;
}
