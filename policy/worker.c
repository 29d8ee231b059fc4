/*
 * What the worker may call whatever its device is. After READY it can open nothing, create nothing, name no other
 * process and get no executable memory. Hot calls carry no argument checks (design, "Confinement").
 */
#include "policy.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>

#define NOT_EXECUTABLE 1, { { 2, PROT_EXEC, 0 } }
#define COMMAND(command) 1, { { 1, UINT32_MAX, command } }
#define ADVICE(advice) 1, { { 2, UINT32_MAX, advice } }

/* The set-up filter stays in force below the run filter, so these rows stand in both tables. */
#define WORKER_ALWAYS                                                                                                  \
        { "epoll_wait", "loop.c: loop_wait" },                                                                         \
        { "epoll_ctl", "loop.c: loop_watch, for kicks that come and go" },                                             \
        { "read", "vring_fds.c: kick_drain; park.c: loops' wake-ups" },                                                \
        { "write", "vring_fds.c: call_fire; park.c: loops' wake-ups" },                                                \
        { "futex", "park.c: loops wait while the map changes" },                                                       \
        { "clock_gettime", "loop.c: adaptive polling, where the vDSO cannot" },                                        \
        { "recvmsg", "link.c: packets of the session" },                                                               \
        { "sendmsg", "link.c: answers" },                                                                              \
        { "fstat", "guest_mem.c: size and block size of a memory file; vring_fds.c: kind of a kick" },                 \
        { "fcntl", "vring_fds.c: kick and call must not block", COMMAND(F_GETFL) },                                    \
        { "fcntl", "vring_fds.c: kick and call must not block", COMMAND(F_SETFL) },                                    \
        { "mmap", "guest_mem.c: regions; vring.c: requests of a vring; inflight.c: the area", NOT_EXECUTABLE },        \
        { "munmap", "guest_mem.c, vring.c, inflight.c" },                                                              \
        { "madvise", "guest_mem.c: guest memory stays out of core dumps", ADVICE(MADV_DONTDUMP) },                     \
        { "close", "fd.c: memory files after mapping, vrings' descriptors" },                                          \
        { "restart_syscall", "the kernel, after a stop and a continue" },                                              \
        { "exit_group", "main.c: the channel has hung up" }

const struct policy_call policy_worker_setup[] = {
        WORKER_ALWAYS,
        { "brk", "malloc: state that lives as long as the process" },
        { "mprotect", "malloc, where brk is refused", NOT_EXECUTABLE },
        { "getrandom", "malloc: its first use; rng.c" },
        { "epoll_create1", "loop.c: loop_init" },
        { "eventfd2", "park.c: loops' wake-ups; engine_sync.c: completions" },
        { "clone3", "pthread_create: loops and pool" },
        { "clone", "pthread_create, where clone3 is hidden", 1, { { 0, CLONE_THREAD, CLONE_THREAD } } },
        { "set_robust_list", "pthread_create: a new thread" },
        { "rseq", "pthread_create: a new thread" },
        { "rt_sigprocmask", "pthread_create" },
        { "seccomp", "sandbox.c: the run filter" },
        { NULL },
};

const struct policy_call policy_worker_run[] = {
        WORKER_ALWAYS,
        { NULL },
};
