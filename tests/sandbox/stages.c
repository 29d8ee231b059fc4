/*
 * Every stage of confinement, in the order of the code, is made to fail once: then the front-end gets no answer but the
 * end of its connection, the log names the stage, the device beside it goes on, and the next connection is served. The
 * stages of the broker's own start, and those between fork and exec, and what session and worker do to themselves.
 */
#include "faults.h"
#include "neighbour.h"
#include "policy.h"

#include "array.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The system calls that make up confinement; which of them the policy knows is looked up below. */
#define CALLS                                                                                                          \
        "setns setresgid setresuid setgid setgroups unshare prctl pipe2 socketpair clone clone3 openat close_range "   \
        "fcntl dup2 mount chdir pivot_root umount2 sethostname prlimit64 sched_setaffinity capset setsid execveat "    \
        "rt_sigprocmask landlock_create_ruleset landlock_restrict_self seccomp io_uring_setup io_uring_register"

enum { ALL = -1, PR_MDWE = 65, RING_RESTRICT = 11, RING_ENABLE = 12 };

#define IS(index, what) .argument[index] = { UINT64_MAX, (uint64_t) (what) }
#define IS_INT(index, what) .argument[index] = { UINT32_MAX, (uint32_t) (what) }
#define HAS(index, bit) .argument[index] = { bit, bit }
#define GIVEN(index) .argument[index] = { .given = true }

struct stage {
        const char *log; /* what the broker says of it */
        struct fault fault;
};

/* Before the broker serves anybody: it does not start. */
static const struct stage of_the_broker[] = {
        { "namespaces: this host makes no user namespace", { FAULT_BROKER, "unshare", EPERM, HAS(0, CLONE_NEWUSER) } },
        { "namespaces: this host makes no user namespace",
          { FAULT_BROKER, "prctl", EPERM, IS(0, PR_SET_DUMPABLE), IS(1, 1) } },
        { "range namespace over ids", { FAULT_BROKER, "openat", EACCES, .text = "gid_map" } },
        { "range namespace over ids", { FAULT_BROKER, "openat", EACCES, .text = "uid_map" } },
        { "an empty root for the children: EINVAL", { FAULT_BROKER, "setresgid", EINVAL, IS_INT(0, 0) } },
        { "an empty root for the children: EAGAIN", { FAULT_BROKER, "setresuid", EAGAIN, IS_INT(0, 0) } },
        { "an empty root for the children: ENOSPC", { FAULT_BROKER, "unshare", ENOSPC, HAS(0, CLONE_NEWNS) } },
        { "an empty root for the children: EACCES", { FAULT_BROKER, "mount", EACCES, HAS(3, MS_PRIVATE) } },
        { "an empty root for the children: ENODEV", { FAULT_BROKER, "mount", ENODEV, HAS(3, MS_RDONLY) } },
        { "an empty root for the children: ENOENT", { FAULT_BROKER, "chdir", ENOENT, .text = NULL } },
        { "an empty root for the children: EINVAL", { FAULT_BROKER, "pivot_root", EINVAL, .text = NULL } },
        { "an empty root for the children: EBUSY", { FAULT_BROKER, "umount2", EBUSY, .text = NULL } },
        { "dropping privilege to uid", { FAULT_BROKER, "setresuid", EPERM, .skip = 3 } },
        { "dropping privilege to uid", { FAULT_BROKER, "setresgid", EPERM, .skip = 3 } },
        { "dropping privilege to uid", { FAULT_BROKER, "setgroups", EPERM, .skip = 2 } },
        { "dropping privilege to uid", { FAULT_BROKER, "prctl", EPERM, IS(0, PR_SET_NO_NEW_PRIVS) } },
        { "dropping privilege to uid", { FAULT_BROKER, "prctl", EPERM, IS(0, PR_SET_DUMPABLE), IS(1, 0) } },
        { "opening the range namespace", { FAULT_BROKER, "openat", EACCES, .text = "ns/user" } },
        { "opening the range namespace", { FAULT_BROKER, "openat", EACCES, .text = "ns/mnt" } },
        { "the broker's own system call filter", { FAULT_BROKER, "seccomp", EINVAL, IS(0, SECCOMP_SET_MODE_FILTER) } },
};

/* From a connection to the programs that serve it. */
static const struct stage of_a_child[] = {
        { "its channels: EMFILE", { FAULT_BROKER, "socketpair", EMFILE, .text = NULL } },
        { "its channels: ENFILE", { FAULT_BROKER, "pipe2", ENFILE, IS(1, O_CLOEXEC) } },
        { "making a process: EAGAIN", { FAULT_BROKER, "clone", EAGAIN, .text = NULL } },
        { "its file descriptors: ENOSYS", { FAULT_STAGE, "close_range", ENOSYS, IS_INT(2, 0) } },
        { "entering the range namespace: EPERM", { FAULT_STAGE, "setns", EPERM, .text = NULL } },
        { "entering the range namespace: EINVAL", { FAULT_STAGE, "setresgid", EINVAL, IS_INT(0, 0) } },
        { "entering the range namespace: EAGAIN", { FAULT_STAGE, "setresuid", EAGAIN, IS_INT(0, 0) } },
        { "entering the range namespace: EMFILE", { FAULT_STAGE, "openat", EMFILE, .text = "/proc" } },
        { "an empty net namespace: EPERM", { FAULT_STAGE, "setns", EPERM, IS_INT(1, CLONE_NEWNET) } },
        { "an empty root: EPERM", { FAULT_STAGE, "setns", EPERM, IS_INT(1, CLONE_NEWNS) } },
        { "entering the range namespace: EPERM", { FAULT_STAGE, "prctl", EPERM, IS(0, PR_SET_DUMPABLE), IS(1, 1) } },
        { "worker: namespaces of its own: EMFILE", { FAULT_STAGE, "pipe2", EMFILE, .text = NULL } },
        { "worker: namespaces of its own: ENOSPC", { FAULT_STAGE, "clone", ENOSPC, HAS(0, CLONE_NEWUSER) } },
        { "session: namespaces of its own: ENOSPC",
          { FAULT_STAGE, "clone", ENOSPC, HAS(0, CLONE_NEWUSER), .skip = 1 } },
        { "its file descriptors: EMFILE", { FAULT_STAGE, "fcntl", EMFILE, IS_INT(1, F_DUPFD_CLOEXEC) } },
        { "its file descriptors: EBUSY", { FAULT_STAGE, "dup2", EBUSY, .text = NULL } },
        { "its file descriptors: ENOSYS", { FAULT_STAGE, "close_range", ENOSYS, IS_INT(2, CLOSE_RANGE_CLOEXEC) } },
        { "worker: a uid of its own: EACCES", { FAULT_STAGE, "openat", EACCES, .text = "gid_map" } },
        { "worker: a uid of its own: EACCES", { FAULT_STAGE, "openat", EACCES, .text = "uid_map" } },
        { "session: a uid of its own: EACCES", { FAULT_STAGE, "openat", EACCES, .text = "uid_map", .skip = 1 } },
        { "a uid of its own: EINVAL", { FAULT_STAGE, "setresgid", EINVAL, IS_INT(0, 1) } },
        { "a uid of its own: EAGAIN", { FAULT_STAGE, "setresuid", EAGAIN, IS_INT(0, 1) } },
        { "a host name that tells nothing: EPERM", { FAULT_STAGE, "sethostname", EPERM, .text = NULL } },
        { "resource limits: EPERM", { FAULT_STAGE, "prlimit64", EPERM, IS_INT(1, RLIMIT_CORE), GIVEN(2) } },
        { "resource limits: EPERM", { FAULT_STAGE, "prlimit64", EPERM, IS_INT(1, RLIMIT_NOFILE), GIVEN(2) } },
        { "resource limits: EPERM", { FAULT_STAGE, "prlimit64", EPERM, IS_INT(1, RLIMIT_NPROC), GIVEN(2) } },
        { "resource limits: EPERM", { FAULT_STAGE, "prlimit64", EPERM, IS_INT(1, RLIMIT_MEMLOCK), GIVEN(2) } },
        { "resource limits: EPERM", { FAULT_STAGE, "prlimit64", EPERM, IS_INT(1, RLIMIT_FSIZE), GIVEN(2) } },
        { "resource limits: EPERM", { FAULT_STAGE, "prlimit64", EPERM, IS_INT(1, RLIMIT_MSGQUEUE), GIVEN(2) } },
        { "resource limits: EPERM", { FAULT_STAGE, "prlimit64", EPERM, IS_INT(1, RLIMIT_DATA), GIVEN(2) } },
        { "resource limits: EINVAL", { FAULT_STAGE, "prlimit64", EINVAL, IS_INT(1, RLIMIT_DATA), GIVEN(3) } },
        { "worker: resource limits: EINVAL", { FAULT_STAGE, "sched_setaffinity", EINVAL, .text = NULL } },
        { "dropping capabilities: EINVAL", { FAULT_STAGE, "prctl", EINVAL, IS(0, PR_SET_NO_NEW_PRIVS) } },
        { "dropping capabilities: EINVAL", { FAULT_STAGE, "prctl", EINVAL, IS(0, PR_CAPBSET_DROP) } },
        { "dropping capabilities: EPERM",
          { FAULT_STAGE, "prctl", EPERM, IS(0, PR_CAPBSET_DROP), .skip = CAP_AUDIT_READ } },
        { "dropping capabilities: EPERM", { FAULT_STAGE, "prctl", EPERM, IS(0, PR_SET_SECUREBITS) } },
        { "dropping capabilities: EINVAL", { FAULT_STAGE, "prctl", EINVAL, IS(0, PR_CAP_AMBIENT) } },
        { "dropping capabilities: EPERM", { FAULT_STAGE, "capset", EPERM, .text = NULL } },
        { "executing its program: EPERM", { FAULT_STAGE, "setsid", EPERM, .text = NULL } },
        { "executing its program: EACCES", { FAULT_STAGE, "execveat", EACCES, .text = NULL } },
        { "executing its program: ENOMEM", { FAULT_STAGE, "execveat", ENOMEM, .skip = 1 } },

        { "confinement: no_new_privs and dumpable: EPERM",
          { FAULT_SESSION, "prctl", EINVAL, IS(0, PR_GET_NO_NEW_PRIVS) } },
        { "confinement: no_new_privs and dumpable: EPERM",
          { FAULT_SESSION, "prctl", FAULT_PRETEND, IS(0, PR_GET_NO_NEW_PRIVS) } },
        { "confinement: no_new_privs and dumpable: EINVAL",
          { FAULT_SESSION, "prctl", EINVAL, IS(0, PR_SET_DUMPABLE) } },
        { "confinement: memory-deny-write-execute: EPERM", { FAULT_SESSION, "prctl", EPERM, IS(0, PR_MDWE) } },
        { "confinement: memory-deny-write-execute: ENOSYS", { FAULT_SESSION, "prctl", EINVAL, IS(0, PR_MDWE) } },
        { "confinement: landlock: ENOSYS", { FAULT_SESSION, "landlock_create_ruleset", ENOSYS, IS_INT(2, 1) } },
        { "confinement: landlock: ENOSYS", { FAULT_SESSION, "landlock_create_ruleset", EOPNOTSUPP, IS_INT(2, 1) } },
        { "confinement: landlock: ENOSYS", { FAULT_SESSION, "landlock_create_ruleset", FAULT_PRETEND, IS_INT(2, 1) } },
        { "confinement: landlock: ENOMEM", { FAULT_SESSION, "landlock_create_ruleset", ENOMEM, IS_INT(2, 0) } },
        { "confinement: landlock: E2BIG", { FAULT_SESSION, "landlock_restrict_self", E2BIG, .text = NULL } },
        { "confinement: system call filter: EINVAL", { FAULT_SESSION, "seccomp", EINVAL, .text = NULL } },
        { "ended with status", { FAULT_SESSION, "fcntl", EINVAL, IS_INT(1, F_SETFL) } },

        { "sandbox: no_new_privs, dumpable: EPERM", { FAULT_WORKER, "prctl", EINVAL, IS(0, PR_GET_NO_NEW_PRIVS) } },
        { "sandbox: no_new_privs, dumpable: EINVAL", { FAULT_WORKER, "prctl", EINVAL, IS(0, PR_SET_DUMPABLE) } },
        { "sandbox: memory-deny-write-execute: EPERM", { FAULT_WORKER, "prctl", EPERM, IS(0, PR_MDWE) } },
        { "sandbox: memory-deny-write-execute: ENOSYS", { FAULT_WORKER, "prctl", EINVAL, IS(0, PR_MDWE) } },
        { "sandbox: landlock: ENOSYS", { FAULT_WORKER, "landlock_create_ruleset", ENOSYS, IS_INT(2, 1) } },
        { "sandbox: landlock: ENOMEM", { FAULT_WORKER, "landlock_create_ruleset", ENOMEM, IS_INT(2, 0) } },
        { "sandbox: landlock: E2BIG", { FAULT_WORKER, "landlock_restrict_self", E2BIG, .text = NULL } },
        { "sandbox: setup filter: EINVAL", { FAULT_WORKER, "seccomp", EINVAL, .text = NULL } },
        { "sandbox: run filter: ENOMEM", { FAULT_WORKER, "seccomp", ENOMEM, .skip = 1 } },
        { "engine uring: ENOSYS", { FAULT_WORKER, "io_uring_setup", ENOSYS, .text = NULL } },
        { "io_uring: restricting the ring: EINVAL",
          { FAULT_WORKER, "io_uring_register", EINVAL, IS_INT(1, RING_RESTRICT) } },
        { "io_uring: a forbidden opcode was not refused: EACCES",
          { FAULT_WORKER, "io_uring_register", FAULT_PRETEND, IS_INT(1, RING_RESTRICT) } },
        { "io_uring: enabling the ring: EBADFD",
          { FAULT_WORKER, "io_uring_register", EBADFD, IS_INT(1, RING_ENABLE) } },
};

/* Only where the device has no net namespace yet. */
static const struct stage of_a_first_start[] = {
        { "an empty net namespace: ENOSPC", { FAULT_STAGE, "unshare", ENOSPC, HAS(0, CLONE_NEWNET) } },
};

static const struct stage of_threads[] = {
        { "EAGAIN", { FAULT_WORKER, "clone", EAGAIN, .text = NULL } },
        { "EAGAIN", { FAULT_WORKER, "clone", EAGAIN, .skip = 16 } },
};

static void check_stage(struct faults *faults, struct rig *rig, struct neighbour *n, const struct stage *stage)
{
        size_t from = rig->prog.log_n;
        struct fe_conn conn;
        uint64_t features;
        int r;

        faults_arm(faults, &stage->fault, rig->prog.pid);
        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &conn));
        r = fe_get_features(&conn, &features);
        ck_assert_msg(faults_met(faults), "%s: %s was not called so", stage->log, stage->fault.call);
        ck_assert_msg(r < 0 && r != -ETIMEDOUT, "%s: %s fails, and a device is served", stage->log, stage->fault.call);
        fe_close(&conn);
        r = prog_log_wait(&rig->prog, from, stage->log, FE_TIMEOUT_MS);
        ck_assert_msg(!r, "%s fails: not in the log: '%s', but:\n%s", stage->fault.call, stage->log,
                      rig->prog.log + from);
        neighbour_look_in(n);
        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &conn));
        rig_quiet(&conn);
        fe_close(&conn);
}

static void check_stages(const struct stage *stages, unsigned n_stages, struct rig_options options)
{
        struct faults *faults = faults_new(CALLS);
        struct rig rig;
        struct neighbour n;
        int fds;

        options.neighbour = true;
        rig = rig_start(options);
        n = neighbour_move_in(&rig);
        rig_await_up(&rig, 3); /* after those that warm up both devices */
        fds = prog_count_fds(rig.prog.pid);
        for (unsigned i = 0; i < n_stages; i++)
                check_stage(faults, &rig, &n, &stages[i]);
        OK(prog_await_children(rig.prog.pid, 2, FE_TIMEOUT_MS)); /* the neighbour's */
        OK(prog_await_fds(rig.prog.pid, fds, FE_TIMEOUT_MS));
        neighbour_move_out(&n);
        rig_stop(&rig);
        faults_free(faults);
        printf("%u stages failed, one after the other\n", n_stages);
}

START_TEST(a_child)
{
        cpu_set_t mine;
        char pinned[64];

        ck_assert_int_eq(sched_getaffinity(0, sizeof(mine), &mine), 0);
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
                if (CPU_ISSET(cpu, &mine))
                        snprintf(pinned, sizeof(pinned), "worker.CPUAffinity=%u", cpu);
        check_stages(of_a_child, ARRAY_SIZE(of_a_child), (struct rig_options){ .engine = "uring", .set = { pinned } });
}
END_TEST

/* A device that has never served. */
static struct rig fresh_rig(void)
{
        setenv("RIG_FOREIGN", "1", 1);
        return rig_start((struct rig_options){ .neighbour = true });
}

START_TEST(a_first_start)
{
        struct faults *faults = faults_new(CALLS);
        struct rig rig = fresh_rig();
        struct neighbour n = neighbour_move_in(&rig);

        check_stage(faults, &rig, &n, &of_a_first_start[_i]);
        neighbour_move_out(&n);
        rig_stop(&rig);
        faults_free(faults);
}
END_TEST

/* Then the next session gets a new one, which is kept. */
START_TEST(a_net_namespace_that_cannot_be_kept)
{
        const struct fault fault = { FAULT_BROKER, "openat", EMFILE, .text = "ns/net" };
        struct faults *faults = faults_new(CALLS);
        struct rig rig = fresh_rig();
        int net[3] = { -1, -1, -1 }; /* one that is held open gives its number to no other */
        struct stat is[3];

        faults_arm(faults, &fault, rig.prog.pid);
        for (unsigned i = 0; i < ARRAY_SIZE(net); i++) {
                struct fe_conn conn;
                char path[64];

                OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &conn));
                rig_quiet(&conn);
                rig_await_up(&rig, i + 1);
                ck_assert(i > 0 || faults_met(faults));
                snprintf(path, sizeof(path), "/proc/%d/ns/net", (int) rig_child(&rig, "vhost-worker"));
                net[i] = open(path, O_RDONLY | O_CLOEXEC);
                ck_assert_int_eq(fstat(net[i], &is[i]), 0);
                fe_close(&conn);
                rig_await_idle(&rig);
        }
        ck_assert_uint_ne(is[0].st_ino, is[1].st_ino);
        ck_assert_uint_eq(is[1].st_ino, is[2].st_ino);
        for (unsigned i = 0; i < ARRAY_SIZE(net); i++)
                close(net[i]);
        OK(prog_log_wait(&rig.prog, 0, "session 1: its net namespace cannot be kept for the next: EMFILE", 0));
        ck_assert_ptr_null(strstr(rig.prog.log, "session 2: its net"));
        rig_stop(&rig);
        faults_free(faults);
}
END_TEST

START_TEST(threads)
{
        check_stages(of_threads, ARRAY_SIZE(of_threads),
                     (struct rig_options){ .engine = "sync", .set = { "worker.Threads=2" } });
}
END_TEST

static bool is_failed(const char *call)
{
        for (unsigned i = 0; i < ARRAY_SIZE(of_a_child); i++)
                if (!strcmp(of_a_child[i].fault.call, call))
                        return true;
        return !strcmp(of_a_first_start[0].fault.call, call);
}

/* What a stage may call, by the policy, some row above lets fail. */
START_TEST(no_call_is_left_out)
{
        static const char *const cannot_fail = "umask";
        unsigned looked_at = 0;

        for (size_t p = 0; p < policy_n_profiles; p++)
                for (size_t t = 0; t < ARRAY_SIZE(policy_profiles[p].calls); t++)
                        for (const struct policy_call *call = policy_profiles[p].calls[t]; call && call->name; call++) {
                                if (policy_profiles[p].program != POLICY_BROKER ||
                                    (!strstr(call->who, "child.c:") && !strstr(call->who, "spawn.c: enter") &&
                                     !strstr(call->who, "confine.c:")))
                                        continue;
                                looked_at++;
                                ck_assert_msg(is_failed(call->name) || !strcmp(call->name, cannot_fail), "%s (%s)",
                                              call->name, call->who);
                        }
        ck_assert_uint_gt(looked_at, 12);
}
END_TEST

START_TEST(the_broker)
{
        const struct stage *stage = &of_the_broker[_i];
        struct faults *faults = faults_new(CALLS);
        char socket[100], option[120];
        char *argv[] = { getenv("VHOST_BROKER"), "--type=rng", option, NULL };
        struct prog prog;
        int status = 0;

        snprintf(socket, sizeof(socket), "%s/s", getenv("RIG_DIR"));
        snprintf(option, sizeof(option), "--socket-path=%s", socket);
        faults_arm(faults, &stage->fault, 0);
        OK(prog_start(argv, &prog));
        OK(prog_end(&prog, RIG_START_MS, &status));
        ck_assert_msg(faults_met(faults), "%s was not called so", stage->fault.call);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE, "status %#x", status);
        ck_assert_msg(strstr(prog.log, stage->log) != NULL, "not in the log: '%s', but:\n%s", stage->log, prog.log);
        ck_assert(!strstr(prog.log, "ready"));
        prog_done(&prog);
        unlink(socket);
        faults_free(faults);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("stages");
        TCase *all = tcase_create("all");

        if (geteuid() != 0) {
                puts("skipped: only root may answer for the kernel");
                return 77;
        }
        tcase_set_timeout(all, 120);
        tcase_add_test(all, no_call_is_left_out);
        tcase_add_loop_test(all, the_broker, 0, ARRAY_SIZE(of_the_broker));
        tcase_add_test(all, a_child);
        tcase_add_loop_test(all, a_first_start, 0, ARRAY_SIZE(of_a_first_start));
        tcase_add_test(all, a_net_namespace_that_cannot_be_kept);
        tcase_add_test(all, threads);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
