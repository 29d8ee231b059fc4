/*
 * Used == allowed: runs test programs whose broker is under with_notes, and notes the system calls that are made under
 * each filter: by sessions and workers, and by the broker and its children until they load their own. A call that a
 * filter allows and nobody made fails the test, unless it is excused; so does one that is made in spite of its excuse.
 *
 *   used_calls WITH_NOTES PROGRAM[:packed]...
 *
 * Which filter a process is under is read from its memory when it loads one. One line per filter is printed.
 */
#include "listener.h"

#include "array.h"
#include "policy.h"

#include <err.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBERS = 1024, PROFILES = 32, TASKS = 1 << 16, CODE_MOST = 1024, LISTENERS = 1024, NONE = -1 };

/*
 * Allowed, and not always seen: excused always, or where another call is seen instead. What no host and no version of a
 * library makes these tests do is marked: if one is seen all the same, its excuse is wrong.
 */
static const struct excuse {
        const char *call, *instead, *why;
        enum policy_program program;
        enum policy_stage stage;
        bool never;
} excuses[] = {
        { "clock_gettime", NULL, "not used: the vDSO answers, unless the host's clock is one that it cannot read",
          POLICY_WORKER, POLICY_RUN },
        { "clock_gettime", NULL, "not used, likewise", POLICY_SESSION, POLICY_RUN },
        { "fstat", "newfstatat", "not used: newfstatat is fstat() of this C library", POLICY_SESSION, POLICY_RUN },
        { "newfstatat", "fstat", "not used: fstat is fstat() of this C library", POLICY_SESSION, POLICY_RUN },
        { "brk", "mmap", "not used: malloc takes mmap where brk is refused", POLICY_WORKER, POLICY_SETUP },
        { "ioctl", NULL, "not used: only where the host has a /dev/userfaultfd", POLICY_SESSION, POLICY_RUN },
        { "clone", "clone3", "not used: only where clone3 is hidden", POLICY_WORKER, POLICY_SETUP },
        { "clone3", "clone", "not used: clone is what musl takes", POLICY_WORKER, POLICY_SETUP },
        { "set_robust_list", "clone", "not used: only by threads of glibc", POLICY_WORKER, POLICY_SETUP },
        { "rseq", "clone", "not used: likewise", POLICY_WORKER, POLICY_SETUP },
        { "rt_sigaction", "clone", "not used: likewise", POLICY_WORKER, POLICY_SETUP },

        { "clock_gettime", NULL, "not used: where the vDSO answers", POLICY_BROKER, POLICY_RUN },
        { "connect", NULL, "not used: only for Connect= (sandbox-outward)", POLICY_BROKER, POLICY_RUN, true },
        { "sched_setaffinity", NULL, "not used: only for CPUAffinity= (sandbox-stages)",
          POLICY_BROKER, POLICY_RUN, true },
        { "kill", NULL, "not used: only where a start hangs or is cancelled (sandbox-hanging)",
          POLICY_BROKER, POLICY_RUN },
        { "sendto", NULL, "not used: only for the journal", POLICY_BROKER, POLICY_RUN, true },
        { "writev", NULL, "not used: only for a long entry of the journal", POLICY_BROKER, POLICY_RUN, true },
        { "memfd_create", NULL, "not used: only for a long entry of the journal", POLICY_BROKER, POLICY_RUN, true },
        { "ftruncate", NULL, "not used: only for a long entry of the journal", POLICY_BROKER, POLICY_RUN, true },
        { "tgkill", NULL, "not used: only to abort", POLICY_BROKER, POLICY_RUN, true },
        { "restart_syscall", NULL, "not used: only after a stop", POLICY_BROKER, POLICY_RUN },
        { "getsockname", NULL, "not used: by version of libsystemd", POLICY_BROKER, POLICY_RUN },
        { "fstat", NULL, "not used: by versions of libsystemd and the C library", POLICY_BROKER, POLICY_RUN },
        { "newfstatat", NULL, "not used: by versions of libsystemd and the C library", POLICY_BROKER, POLICY_RUN },
        { "poll", "ppoll", "not used: ppoll is poll() of this C library", POLICY_BROKER, POLICY_RUN },
        { "ppoll", "poll", "not used: poll is poll() of this C library", POLICY_BROKER, POLICY_RUN },
        { "brk", NULL, "not used: only where the heap has to grow", POLICY_BROKER, POLICY_RUN },
        { "mremap", NULL, "not used: only where a large piece of the heap has to grow", POLICY_BROKER, POLICY_RUN },
        { "getrlimit", "prlimit64", "not used: prlimit64 is getrlimit() of this C library", POLICY_BROKER, POLICY_RUN },
        { "setrlimit", "prlimit64", "not used: prlimit64 is setrlimit() of this C library", POLICY_BROKER, POLICY_RUN },
        { "rseq", NULL, "not used: musl's start does without", POLICY_BROKER, POLICY_RUN },
        { "mprotect", NULL, "not used: musl's start does without", POLICY_BROKER, POLICY_RUN },
        { "readlink", NULL, "not used: musl's start does without", POLICY_BROKER, POLICY_RUN },
        { "readlinkat", NULL, "not used: readlink is readlink() of this C library", POLICY_BROKER, POLICY_RUN },
};

struct task {
        pid_t tid, process;
        int listener; /* by which broker it was told */
        int profile;  /* of a process: the filter it has loaded itself; NONE: it is under its broker's, if any */
};

struct notes {
        int epoll, socket;
        int of_broker[LISTENERS]; /* the filter that the broker has loaded, by listener */
        struct task task[TASKS];
        bool used[PROFILES][NUMBERS];
        unsigned long told;
};

static pid_t process_of(pid_t tid)
{
        char path[64], line[128];
        int process = tid;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", (int) tid);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "Tgid: %d", &process) == 1)
                        break;
        if (file)
                fclose(file);
        return process;
}

static struct task *task_of(struct notes *notes, pid_t tid, int listener)
{
        struct task *task = &notes->task[tid % TASKS];

        if (task->tid != tid || task->listener != listener)
                *task = (struct task){ .tid = tid, .process = process_of(tid), .listener = listener, .profile = NONE };
        return task;
}

/* The filter that a process is about to load. */
static int profile_in(pid_t pid, uint64_t address)
{
        static struct sock_filter code[CODE_MOST];
        struct sock_fprog program;
        struct iovec here = { &program, sizeof(program) }, there = { (void *) (uintptr_t) address, sizeof(program) };

        if (process_vm_readv(pid, &here, 1, &there, 1, 0) != sizeof(program) || program.len > CODE_MOST)
                return NONE;
        here = (struct iovec){ code, program.len * sizeof(code[0]) };
        there = (struct iovec){ program.filter, here.iov_len };
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t) here.iov_len)
                return NONE;
        for (size_t f = 0; f < policy_n_filters; f++)
                if (policy_filters[f].n == program.len && !memcmp(policy_filters[f].code, code, here.iov_len))
                        return (int) f;
        return NONE;
}

static void note(struct notes *notes, const struct seccomp_notif *call, int listener)
{
        struct task *task = task_of(notes, (pid_t) call->pid, listener);
        struct task *process = task_of(notes, task->process, listener);
        unsigned number = (unsigned) call->data.nr;
        int profile;

        if (number == SYS_execve || number == SYS_execveat)
                process->profile = NONE;
        profile = process->profile != NONE ? process->profile : notes->of_broker[listener];
        if (profile != NONE && number < NUMBERS)
                notes->used[profile][number] = true;
        if (number == SYS_seccomp && call->data.args[0] == SECCOMP_SET_MODE_FILTER)
                process->profile = profile_in(process->tid, call->data.args[2]);
        if (process->profile != NONE && policy_profiles[process->profile].program == POLICY_BROKER)
                notes->of_broker[listener] = process->profile; /* its children inherit it */
        notes->told++;
}

/* One call: noted, and let go on as if nobody had asked. */
static void hear(struct notes *notes, int listener)
{
        struct seccomp_notif call = { 0 };
        struct seccomp_notif_resp go_on = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
                return; /* it was killed meanwhile */
        note(notes, &call, listener);
        go_on.id = call.id;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on);
}

static void watch(struct notes *notes, int fd)
{
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

        if (fd < 0 || epoll_ctl(notes->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                err(1, "watch");
}

/* A broker has begun. */
static void welcome(struct notes *notes)
{
        int fd = listener_welcome(notes->socket);

        if (fd < 0)
                err(1, "no listener came");
        if (fd >= LISTENERS)
                errx(1, "too many listeners");
        notes->of_broker[fd] = NONE;
        watch(notes, fd);
}

static void open_socket(struct notes *notes)
{
        notes->epoll = epoll_create1(EPOLL_CLOEXEC);
        notes->socket = listener_open();
        if (notes->socket < 0)
                errx(1, "socket: %s", strerror(-notes->socket));
        watch(notes, notes->socket);
}

static pid_t start(char *program)
{
        char *colon = strrchr(program, ':'), *const argv[] = { program, NULL };
        pid_t pid;

        if (colon)
                *colon = '\0';
        pid = fork();
        if (pid == 0) {
                if (colon)
                        setenv("RIG_RING", colon + 1, 1);
                execv(program, argv);
                _exit(99);
        }
        return pid;
}

/* Runs one program to its end; true: it passed. */
static bool run(struct notes *notes, char *program)
{
        pid_t pid = start(program);
        int pidfd = pidfd_open(pid, 0), status;
        struct epoll_event event;

        watch(notes, pidfd);
        for (;;) {
                if (epoll_wait(notes->epoll, &event, 1, -1) < 1)
                        continue;
                if (event.data.fd == pidfd)
                        break;
                if (event.data.fd == notes->socket)
                        welcome(notes);
                else if (event.events & EPOLLIN)
                        hear(notes, event.data.fd);
                else
                        close(event.data.fd); /* the last process under it has ended */
        }
        close(pidfd);
        return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

static const struct excuse *excuse_of(const struct notes *notes, const char *call, size_t p)
{
        for (size_t i = 0; i < ARRAY_SIZE(excuses); i++) {
                const char *instead = excuses[i].instead;

                if (!strcmp(excuses[i].call, call) && excuses[i].program == policy_profiles[p].program &&
                    excuses[i].stage == policy_profiles[p].stage &&
                    (!instead || notes->used[p][seccomp_syscall_resolve_name(instead)]))
                        return &excuses[i];
        }
        return NULL;
}

/* 1: it is in the wrong place, in the table or among the excuses. */
static unsigned judge_call(const struct notes *notes, size_t p, const char *call)
{
        const char *profile = policy_profiles[p].name;
        const struct excuse *excuse = excuse_of(notes, call, p);

        if (notes->used[p][seccomp_syscall_resolve_name(call)]) {
                if (!excuse || !excuse->never)
                        return 0;
                printf("  %s: %s IS USED, AND EXCUSED AS %s\n", profile, call, excuse->why);
                return 1;
        }
        printf("  %s: %s %s\n", profile, call, excuse ? excuse->why : "IS ALLOWED AND NEVER USED");
        return !excuse;
}

static void see_run_filters(bool seen[NUMBERS])
{
        for (size_t p = 0; p < policy_n_profiles; p++)
                for (size_t t = 0; t < ARRAY_SIZE(policy_profiles[p].calls); t++)
                        for (const struct policy_call *call = policy_profiles[p].calls[t]; call && call->name; call++)
                                if (policy_profiles[p].program == POLICY_WORKER && policy_profiles[p].stage == POLICY_RUN)
                                        seen[seccomp_syscall_resolve_name(call->name)] = true;
}

/*
 * The setup filter must allow what the run filter on top of it allows, and the broker's what its children may call:
 * there only its own calls count.
 */
static unsigned judge(const struct notes *notes, size_t p)
{
        const struct policy_profile *profile = &policy_profiles[p];
        bool seen[NUMBERS] = { 0 };
        unsigned used = 0, wrong = 0, own = 0;

        if (profile->stage == POLICY_SETUP)
                see_run_filters(seen);
        for (size_t t = 0; t < ARRAY_SIZE(profile->calls); t++)
                for (const struct policy_call *call = profile->calls[t]; call && call->name; call++) {
                        int number = seccomp_syscall_resolve_name(call->name);

                        if (seen[number])
                                continue;
                        seen[number] = true;
                        own++;
                        used += notes->used[p][number];
                        wrong += judge_call(notes, p, call->name);
                }
        printf("%s: %u of %u calls used\n", profile->name, used, own);
        return wrong;
}

int main(int argc, char **argv)
{
        struct notes *notes = calloc(1, sizeof(*notes));
        const bool postcopy = access("/dev/userfaultfd", R_OK | W_OK) == 0;
        unsigned wrong = 0, failed = 0;

        if (geteuid() != 0) {
                puts("skipped: only root may look into confined processes");
                return 77;
        }
        if (argc < 3 || !notes || policy_n_profiles > PROFILES)
                errx(2, "usage: used_calls WITH_NOTES PROGRAM[:RING]...");
        setenv("NOTED_PROGRAM", getenv("VHOST_BROKER"), 1);
        setenv("VHOST_BROKER", argv[1], 1);
        open_socket(notes);
        for (int i = 2; i < argc; i++)
                if (!run(notes, argv[i])) {
                        printf("%s has failed\n", argv[i]);
                        failed++;
                }
        for (size_t p = 0; p < policy_n_profiles; p++)
                if (postcopy || !policy_profiles[p].postcopy)
                        wrong += judge(notes, p);
        printf("%lu calls told; %u programs failed; %u calls allowed and never used, or excused and used\n",
               notes->told, failed, wrong);
        if (!postcopy)
                puts("left out: filters of workers with Postcopy=yes: the host has no /dev/userfaultfd for us");
        free(notes);
        return failed || wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
