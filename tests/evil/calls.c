/*
 * Everything that a taken-over worker or session could ask of the kernel, asked by a process that is confined as always
 * but for one thing: its filters answer where they would kill (kills.c sees them kill). What it gets is exactly what is
 * published.
 */
#include "attacker.h"
#include "published.h"

#include "array.h"
#include "packet.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct stand {
        const char *type, *engine, *profile;
};

static const struct stand stands[] = {
        { "block", "uring", "worker_run_blk_uring" },
        { "block", "sync", "worker_run_blk_sync" },
        { "block", "null", "worker_run_blk_null" },
        { "rng", NULL, "worker_run_rng" },
        { "block", "null", "session_run" },
};

enum { IN_SESSION = ARRAY_SIZE(stands) - 1 };

static struct attacker take_over(const struct rig *rig, unsigned which)
{
        return which == IN_SESSION ? attacker_in_session(rig) : attacker_in_worker(rig);
}

static const uint64_t all_ones[6] = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };

static void check_number(struct attacker *a, const struct published_call *published, uint64_t number)
{
        bool passes = attacker_call(a, number, all_ones) != -EVIL_ERRNO;

        ck_assert_msg(passes == published->freely, "call %u is %s", (unsigned) number,
                      passes ? "possible, but not published" : "published, but not possible");
        for (unsigned i = 0; i < published->n && !published->freely; i++)
                ck_assert_msg(attacker_call(a, number, published->way[i]) != -EVIL_ERRNO,
                              "call %u is not possible in published way %u", (unsigned) number, i);
}

START_TEST(what_is_possible_is_what_is_published)
{
        const struct stand *stand = &stands[_i];
        struct published published;
        unsigned allowed = 0;

        attacker_prepare(true);
        published_read(stand->profile, &published);
        RIG_WITH(rig, .type = stand->type, .engine = stand->engine);
        struct attacker a = take_over(&rig, _i);

        for (unsigned number = 0; number < PUBLISHED_NUMBERS; number++) {
                allowed += published.call[number].allowed;
                if (number != SYS_exit_group && !published_is_probe(number)) /* kills.c: they end the process */
                        check_number(&a, &published.call[number], number);
        }
        ck_assert_uint_eq(allowed, published.calls);
        ck_assert_uint_le(allowed, _i == IN_SESSION ? 20 : 18);
        attacker_close(&a);
}
END_TEST

/* Other gates into the same kernel: none of them lets anything through. */
START_TEST(other_entries_are_closed)
{
        attacker_prepare(true);
        RIG_WITH(rig, .type = stands[_i].type, .engine = stands[_i].engine);
        struct attacker a = take_over(&rig, _i);

        for (unsigned entry = EVIL_X32; entry <= EVIL_I386; entry++)
                for (unsigned number = 0; number < PUBLISHED_NUMBERS; number++) {
                        struct evil_command command = { .what = EVIL_CALL, .entry = entry, .number = number };
                        struct evil_answer answer;

                        memset(command.argument, 0xff, sizeof(command.argument));
                        OK(attacker_do(&a, command, &answer));
                        ck_assert_msg(answer.result == -EVIL_ERRNO, "entry %u, call %u: %lld", entry, number,
                                      (long long) answer.result);
                }
        attacker_close(&a);
}
END_TEST

struct attack {
        const char *name;
        uint64_t number;
        uint64_t argument[6];
        uint32_t in_data;
        const char *data;
};

#define RWX (PROT_READ | PROT_WRITE | PROT_EXEC)
#define ANYWHERE (MAP_PRIVATE | MAP_ANONYMOUS)

/* What an intruder would do next, with arguments that would work elsewhere. */
static const struct attack attacks[] = {
        { "open", SYS_open, { 0, O_RDONLY }, 1, "/" },
        { "open proc", SYS_open, { 0, O_RDONLY }, 1, "/proc/self/mem" },
        { "openat", SYS_openat, { (uint64_t) AT_FDCWD, 0, O_RDONLY }, 2, "/" },
        { "openat O_PATH", SYS_openat, { (uint64_t) AT_FDCWD, 0, O_PATH }, 2, "." },
        { "openat2", SYS_openat2, { (uint64_t) AT_FDCWD, 0, 8, 24 }, 6, "/" },
        { "creat", SYS_creat, { 0, 0600 }, 1, "x" },
        { "open_by_handle_at", SYS_open_by_handle_at, { (uint64_t) AT_FDCWD, 0, 0 }, 2, "" },
        { "socket unix", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 }, 0, NULL },
        { "socket inet", SYS_socket, { AF_INET, SOCK_STREAM, 0 }, 0, NULL },
        { "socket netlink", SYS_socket, { AF_NETLINK, SOCK_RAW, 0 }, 0, NULL },
        { "socket alg", SYS_socket, { AF_ALG, SOCK_SEQPACKET, 0 }, 0, NULL },
        { "socket vsock", SYS_socket, { AF_VSOCK, SOCK_STREAM, 0 }, 0, NULL },
        { "socketpair", SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, 0 }, 8, "" },
        { "accept4", SYS_accept4, { 0, 0, 0, 0 }, 0, NULL },
        { "connect", SYS_connect, { 0, 0, 16 }, 2, "\1" },
        { "execve", SYS_execve, { 0, 0, 0 }, 1, "/proc/self/exe" },
        { "execveat", SYS_execveat, { 0, 0, 0, 0, AT_EMPTY_PATH }, 2, "" },
        { "fork", SYS_fork, { 0 }, 0, NULL },
        { "vfork", SYS_vfork, { 0 }, 0, NULL },
        { "clone", SYS_clone, { SIGCHLD, 0, 0, 0, 0 }, 0, NULL },
        { "clone3", SYS_clone3, { 0, 64 }, 1, "" },
        { "kill everybody", SYS_kill, { UINT64_MAX, SIGKILL }, 0, NULL },
        { "kill init", SYS_kill, { 1, SIGKILL }, 0, NULL },
        { "tgkill", SYS_tgkill, { 1, 1, SIGKILL }, 0, NULL },
        { "tkill", SYS_tkill, { 1, SIGKILL }, 0, NULL },
        { "rt_sigqueueinfo", SYS_rt_sigqueueinfo, { 1, SIGKILL, 0 }, 4, "" },
        { "ptrace", SYS_ptrace, { 16 /* ATTACH */, 1, 0, 0 }, 0, NULL },
        { "process_vm_readv", SYS_process_vm_readv, { 1, 0, 1, 0, 1, 0 }, 10, "" },
        { "process_vm_writev", SYS_process_vm_writev, { 1, 0, 1, 0, 1, 0 }, 10, "" },
        { "pidfd_open", SYS_pidfd_open, { 1, 0 }, 0, NULL },
        { "pidfd_getfd", SYS_pidfd_getfd, { 0, 0, 0 }, 0, NULL },
        { "pidfd_send_signal", SYS_pidfd_send_signal, { 0, SIGKILL, 0, 0 }, 0, NULL },
        { "kcmp", SYS_kcmp, { 1, 1, 0, 0, 0 }, 0, NULL },
        { "unshare user", SYS_unshare, { CLONE_NEWUSER }, 0, NULL },
        { "unshare mount", SYS_unshare, { CLONE_NEWNS }, 0, NULL },
        { "setns", SYS_setns, { 0, 0 }, 0, NULL },
        { "mount", SYS_mount, { 0, 0, 0, 0, 0 }, 7, "/" },
        { "umount2", SYS_umount2, { 0, 2 }, 1, "/" },
        { "pivot_root", SYS_pivot_root, { 0, 0 }, 3, "." },
        { "chroot", SYS_chroot, { 0 }, 1, "." },
        { "fsopen", SYS_fsopen, { 0, 0 }, 1, "tmpfs" },
        { "open_tree", SYS_open_tree, { (uint64_t) AT_FDCWD, 0, 1 }, 2, "/" },
        { "setresuid", SYS_setresuid, { 0, 0, 0 }, 0, NULL },
        { "setgroups", SYS_setgroups, { 0, 0 }, 0, NULL },
        { "capset", SYS_capset, { 0, 0 }, 3, "" },
        { "prctl dumpable", SYS_prctl, { 4, 1, 0, 0, 0 }, 0, NULL },
        { "seccomp", SYS_seccomp, { 0, 0, 0 }, 0, NULL },
        { "mmap writable and executable", SYS_mmap, { 0, 4096, RWX, ANYWHERE, UINT64_MAX, 0 }, 0, NULL },
        { "mmap executable", SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC, ANYWHERE, UINT64_MAX, 0 }, 0, NULL },
        { "mmap a file executable", SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, 0, 0 }, 0, NULL },
        { "mprotect executable", SYS_mprotect, { 0, 4096, PROT_READ | PROT_EXEC }, 1, "" },
        { "pkey_mprotect", SYS_pkey_mprotect, { 0, 4096, PROT_READ | PROT_EXEC, UINT64_MAX }, 1, "" },
        { "remap_file_pages", SYS_remap_file_pages, { 0, 4096, 0, 0, 0 }, 1, "" },
        { "memfd_create", SYS_memfd_create, { 0, 16 /* EXEC */ }, 1, "x" },
        { "shmget", SYS_shmget, { IPC_PRIVATE, 4096, IPC_CREAT | 0700 }, 0, NULL },
        { "shmat executable", SYS_shmat, { 0, 0, SHM_EXEC }, 0, NULL },
        { "truncate", SYS_truncate, { 0, 0 }, 1, "x" },
        { "io_uring_setup", SYS_io_uring_setup, { 8, 0 }, 2, "" },
        { "io_uring_register", SYS_io_uring_register, { 3, 0, 0, 0 }, 0, NULL },
        { "io_setup", SYS_io_setup, { 8, 0 }, 2, "" },
        { "userfaultfd", SYS_userfaultfd, { 1 }, 0, NULL },
        { "bpf", SYS_bpf, { 0, 0, 8 }, 2, "" },
        { "perf_event_open", SYS_perf_event_open, { 0, 0, 0, 0, 0 }, 1, "" },
        { "keyctl", SYS_keyctl, { 0, 0, 0, 0, 0 }, 0, NULL },
        { "ioctl TIOCSTI", SYS_ioctl, { 0, 0x5412, 0 }, 4, "x" },
        { "fcntl F_SETLK", SYS_fcntl, { 0, F_SETLK, 0 }, 4, "" },
        { "fcntl F_DUPFD", SYS_fcntl, { 0, F_DUPFD, 100 }, 0, NULL },
        { "dup2", SYS_dup2, { 0, 1 }, 0, NULL },
        { "splice", SYS_splice, { 0, 0, 1, 0, 4096, 0 }, 0, NULL },
        { "vmsplice", SYS_vmsplice, { 1, 0, 1, 0 }, 2, "" },
        { "prlimit64", SYS_prlimit64, { 0, 7, 0, 0 }, 4, "" },
        { "setpriority", SYS_setpriority, { 0, 0, (uint64_t) -20 }, 0, NULL },
        { "sched_setaffinity", SYS_sched_setaffinity, { 0, 8, 0 }, 4, "\377" },
        { "reboot", SYS_reboot, { 0xfee1dead, 672274793, 0x1234567, 0 }, 0, NULL },
};

START_TEST(no_attack_reaches_the_kernel)
{
        attacker_prepare(true);
        RIG_WITH(rig, .type = stands[_i].type, .engine = stands[_i].engine);
        struct attacker a = take_over(&rig, _i);

        for (unsigned i = 0; i < ARRAY_SIZE(attacks); i++) {
                struct evil_command command = { .what = EVIL_CALL, .number = attacks[i].number,
                                                .in_data = attacks[i].in_data };
                struct evil_answer answer;

                memcpy(command.argument, attacks[i].argument, sizeof(command.argument));
                if (attacks[i].data)
                        strncpy((char *) command.data, attacks[i].data, sizeof(command.data) - 1);
                OK(attacker_do(&a, command, &answer));
                ck_assert_msg(answer.result == -EVIL_ERRNO, "%s: %lld", attacks[i].name, (long long) answer.result);
        }
        attacker_close(&a);
}
END_TEST

/* The disk and the memory are given, not theirs to resize: no worker has ftruncate; the session's memfds are sealed. */
START_TEST(no_worker_resizes_a_file)
{
        attacker_prepare(true);
        RIG_WITH(rig, .type = stands[_i].type, .engine = stands[_i].engine);
        struct attacker a = take_over(&rig, _i);

        for (uint64_t fd = 0; fd < 64; fd++)
                ck_assert_int_eq(attacker_call(&a, SYS_ftruncate, (uint64_t[6]){ fd, 0 }), -EVIL_ERRNO);
        attacker_close(&a);
}
END_TEST

/* fallocate is sync's: it may punch its disk, never make it longer (RLIMIT_FSIZE kills who tries). */
START_TEST(no_disk_grows)
{
        attacker_prepare(true);
        RIG_WITH(rig, .engine = "sync", .disk_bytes = 16 << 20);
        struct attacker a = attacker_in_worker(&rig);
        struct stat before, after;
        struct evil_answer answer;

        ck_assert_int_eq(stat(rig.disk, &before), 0);
        for (uint64_t fd = 1; fd < 64; fd++) {
                struct evil_command grow = { .what = EVIL_CALL, .number = SYS_fallocate,
                                             .argument = { fd, 0, 0, UINT64_C(32) << 20 } };

                if (attacker_do(&a, grow, &answer) < 0)
                        break;
                ck_assert_msg(answer.result < 0, "descriptor %u", (unsigned) fd);
        }
        ck_assert_int_eq(stat(rig.disk, &after), 0);
        ck_assert_int_eq(before.st_size, after.st_size);
        attacker_close(&a);
        rig_check_alive(&rig);
}
END_TEST

enum { SQE_FLAGS = 7 }; /* IOSQE_CQE_SKIP_SUCCESS is the last */

static int64_t submit(struct attacker *a, const struct io_uring_sqe *sqe)
{
        struct evil_command command = { .what = EVIL_RING };
        struct evil_answer answer;

        memcpy(command.data, sqe, sizeof(*sqe));
        OK(attacker_do(a, command, &answer));
        return answer.result;
}

static bool may_do(unsigned opcode)
{
        return opcode == IORING_OP_READV || opcode == IORING_OP_WRITEV || opcode == IORING_OP_FSYNC ||
               opcode == IORING_OP_FALLOCATE;
}

/* seccomp does not see what a ring does: its restrictions must leave the four operations of a disk, on its own files. */
START_TEST(the_ring_gives_nothing_more)
{
        attacker_prepare(true);
        RIG_WITH(rig, .engine = "uring");
        struct attacker a = attacker_in_worker(&rig);

        for (unsigned opcode = 0; opcode < 256; opcode++)
                for (unsigned fixed = 0; fixed < 2; fixed++) {
                        const struct io_uring_sqe sqe = { .opcode = (uint8_t) opcode, .fd = fixed ? 0 : 3, .addr = 16,
                                                          .flags = fixed ? IOSQE_FIXED_FILE : 0 };
                        bool refused = submit(&a, &sqe) == -EACCES;
                        bool unknown = opcode > 40 && submit(&a, &sqe) == -EINVAL;

                        ck_assert_msg(refused || unknown || (fixed && may_do(opcode)), "opcode %u, fixed file %u",
                                      opcode, fixed);
                        ck_assert_msg(!(fixed && may_do(opcode) && refused), "opcode %u is refused", opcode);
                }
        for (unsigned bit = 1; bit < SQE_FLAGS; bit++) {
                const struct io_uring_sqe sqe = { .opcode = IORING_OP_READV, .addr = 16,
                                                  .flags = (uint8_t) (IOSQE_FIXED_FILE | 1u << bit) };

                ck_assert_msg(submit(&a, &sqe) == -EACCES, "flag %u", 1u << bit);
        }
        attacker_close(&a);
}
END_TEST

/* The ring's only files are the disk and the fence. */
START_TEST(the_ring_has_two_files)
{
        attacker_prepare(true);
        RIG_WITH(rig, .engine = "uring");
        struct attacker a = attacker_in_worker(&rig);

        for (int file = 0; file < 64; file++) {
                const struct io_uring_sqe sqe = { .opcode = IORING_OP_FSYNC, .fd = file, .flags = IOSQE_FIXED_FILE };
                int64_t disk_pipe_none = file == 0 ? 0 : file == 1 ? -EINVAL : -EBADF;

                ck_assert_int_eq(submit(&a, &sqe), disk_pipe_none);
        }
        attacker_close(&a);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("evil-calls");
        TCase *c = tcase_create("evil-calls");

        tcase_set_timeout(c, 120);
        tcase_add_loop_test(c, what_is_possible_is_what_is_published, 0, ARRAY_SIZE(stands));
        tcase_add_loop_test(c, other_entries_are_closed, 0, ARRAY_SIZE(stands));
        tcase_add_loop_test(c, no_attack_reaches_the_kernel, 0, ARRAY_SIZE(stands));
        tcase_add_loop_test(c, no_worker_resizes_a_file, 0, IN_SESSION);
        tcase_add_test(c, no_disk_grows);
        tcase_add_test(c, the_ring_gives_nothing_more);
        tcase_add_test(c, the_ring_has_two_files);
        suite_add_tcase(s, c);
        return rig_main(s);
}
