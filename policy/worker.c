/*
 * What the worker may call whatever its device is. After READY it can open nothing, create nothing, name no other
 * process and get no executable memory. Hot calls carry no argument checks (design, "Confinement").
 */
#include "policy.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define NOT_EXECUTABLE 1, { { 2, PROT_EXEC, 0 } }, "prot without PROT_EXEC"
/* The disk's flags outlive us. O_LARGEFILE, which nobody can change so, is what musl adds. */
#define LARGEFILE 0100000U
#define NEVER_BLOCK 2, { { 1, UINT32_MAX, F_SETFL }, { 2, UINT32_MAX & ~LARGEFILE, O_NONBLOCK } }, "F_SETFL to O_NONBLOCK alone"
/* A call may be a socket: no descriptor may leave through it. */
#define CHANNEL 1, { { 0, UINT32_MAX, 0 } }, "descriptor 0, the channel"
#define DONT_DUMP 1, { { 2, UINT32_MAX, MADV_DONTDUMP } }, "MADV_DONTDUMP"
#define COMMAND(command) 1, { { 1, UINT32_MAX, command } }, #command
#define THREADS 1, { { 0, CLONE_THREAD, CLONE_THREAD } }, "with CLONE_THREAD"

/* Only until the run filter is loaded, on top of the rows below. */
const struct policy_call policy_worker_setup[] = {
        { "brk", "malloc: state that lives as long as the process" },
        { "mprotect", "pthread_create: stacks; malloc, where brk is refused", NOT_EXECUTABLE },
        { "getrandom", "malloc: its first use" },
        { "epoll_create1", "loop.c: loop_init" },
        { "eventfd2", "loop.c: loop_init; engine_uring.c: ring_set_up; engine_sync.c: sync_loop_open" },
        { "clone3", "pthread_create: loops and pool" },
        { "clone", "pthread_create of musl; of glibc where clone3 is hidden", THREADS },
        { "set_robust_list", "pthread_create: a new thread" },
        { "rseq", "pthread_create: a new thread" },
        { "rt_sigprocmask", "pthread_create" },
        { "rt_sigaction", "pthread_create: its first use" },
        { "seccomp", "sandbox.c: the run filter" },
        { NULL },
};

const struct policy_call policy_worker_run[] = {
        { "epoll_pwait", "loop.c: loop_sleep" },
        { "epoll_ctl", "loop.c: watch, for kicks that come and go" },
        { "preadv2", "stream_read: kicks, a state that is loaded; engine_sync.c: sync_run, read_cached" },
        { "pwritev2", "stream_write: calls, a state that is saved, loops' wake-ups, a pool's completions; engine_sync.c: sync_run" },
        { "futex", "park.c: loops wait while the map changes; engine_sync.c: the pool's queue" },
        { "clock_gettime", "clock_now_ns: adaptive polling, latencies; where the vDSO cannot" },
        { "recvmsg", "packet_recv: packets of the session", CHANNEL },
        { "sendmsg", "packet_send: answers, lines for the log", CHANNEL },
        { "fstat", "guest_mem.c, inflight.c, dirty_log.c, stats.c: size of a memory file; vring_fds.c: kind of a kick" },
        { "fcntl", "vring_fds.c: never_block", NEVER_BLOCK },
        { "mmap", "guest_mem.c: region_map; vring_config.c: vring_make_room; inflight.c: inflight_area_map; dirty_log.c; stats.c", NOT_EXECUTABLE },
        { "munmap", "guest_mem.c, vring_config.c, inflight.c, dirty_log.c" },
        { "madvise", "guest_mem.c: guest memory stays out of core dumps", DONT_DUMP },
        { "close", "fd.c: memory files after mapping, vrings' descriptors" },
        { "exit_group", "link.c, loop.c: the channel has hung up" },
        { NULL },
};

/* With Postcopy=yes only. The run filter's rows are part of the setup filter: that one stays below it. */
#define REGISTERS                                                                                                      \
        { "ioctl", "postcopy.c: register_one", COMMAND(UFFDIO_REGISTER) }

const struct policy_call policy_postcopy_setup[] = {
        { "ioctl", "postcopy.c: postcopy_open", COMMAND(USERFAULTFD_IOC_NEW) },
        { "ioctl", "postcopy.c: postcopy_open", COMMAND(UFFDIO_API) },
        REGISTERS,
        { NULL },
};

const struct policy_call policy_postcopy_run[] = {
        REGISTERS,
        { NULL },
};
