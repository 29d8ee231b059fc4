/*
 * Disks: what is refused, what is found out about one, and the locks between two openers.
 */
#include "array.h"
#include "clock_now.h"
#include "image_lock.h"
#include "resource.h"
#include "scratch.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static struct scratch scratch;
static struct device_config config;

static void enter(void)
{
        scratch_enter(&scratch);
        ck_assert_int_eq(config_init(&config, "d"), 0);
        config.type = &policy_block;
        config.block.path = strdup("disk");
}

static void leave(void)
{
        config_free(&config);
        scratch_leave(&scratch);
}

static void use_path(const char *path)
{
        free(config.block.path);
        config.block.path = strdup(path);
}

static void make_disk(off_t bytes)
{
        int fd = open("disk", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, bytes), 0);
        close(fd);
}

START_TEST(file)
{
        struct resource resource;
        int flags;

        make_disk(1000000);
        strcpy(config.block.serial, "01234567890123456789");
        config.block.engine = IPC_ENGINE_SYNC;
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        ck_assert_str_eq(scratch.lines, "");
        flags = fcntl(resource.disk.num, F_GETFL);
        ck_assert_int_eq(flags & O_ACCMODE, O_RDWR);
        ck_assert_int_eq(flags & (O_NONBLOCK | O_DIRECT), 0);
        ck_assert_int_eq(fcntl(resource.disk.num, F_GETFD), FD_CLOEXEC);
        ck_assert_uint_eq(resource.block.capacity, 999936);
        ck_assert_uint_eq(resource.block.block_size, 512);
        ck_assert_uint_ge(resource.block.physical_size, 512);
        ck_assert_uint_eq(resource.block.direct_memory, 0);
        ck_assert_uint_eq(resource.block.engine, IPC_ENGINE_SYNC);
        ck_assert(!resource.block.read_only && !resource.block.block_device);
        ck_assert_str_eq(resource.block.serial, "01234567890123456789");
        resource_done(&resource);
}
END_TEST

START_TEST(block_size)
{
        struct resource resource;

        make_disk(10000);
        config.block.block_size = 4096;
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        ck_assert_uint_eq(resource.block.block_size, 4096);
        ck_assert_uint_eq(resource.block.physical_size, 4096);
        ck_assert_uint_eq(resource.block.capacity, 8192);
        resource_done(&resource);
}
END_TEST

START_TEST(read_only)
{
        struct resource resource;

        make_disk(4096);
        ck_assert_int_eq(chmod("disk", 0400), 0);
        config.block.read_only = true;
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        ck_assert_int_eq(fcntl(resource.disk.num, F_GETFL) & O_ACCMODE, O_RDONLY);
        ck_assert(resource.block.read_only && !resource.block.discard);
        ck_assert_int_lt((int) write(resource.disk.num, "x", 1), 0);
        resource_done(&resource);
}
END_TEST

/* Asking whether holes can be made must change nothing, whatever the end of the file is aligned to. */
START_TEST(discard_probe_is_harmless)
{
        char before[5000], after[sizeof(before)];
        struct resource resource;
        struct stat st;
        int fd;

        memset(before, 'x', sizeof(before));
        fd = open("disk", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        ck_assert_int_eq((int) write(fd, before, sizeof(before)), (int) sizeof(before));
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        ck_assert(resource.block.discard);
        resource_done(&resource);
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_int_eq((int) st.st_size, (int) sizeof(before));
        ck_assert_int_eq((int) pread(fd, after, sizeof(after), 0), (int) sizeof(after));
        ck_assert_mem_eq(before, after, sizeof(before));
        close(fd);

        config.block.discard = false;
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        ck_assert(!resource.block.discard);
        resource_done(&resource);
}
END_TEST

START_TEST(direct)
{
        struct resource resource;
        int r;

        make_disk(1 << 20);
        config.block.direct = true;
        config.block.block_size = 4096;
        r = resource_open(&config, &scratch.log, 0, &resource);
        if (r < 0) { /* the file system has no direct I/O: it must be said so */
                ck_assert_str_eq(scratch.lines, "disk: this file system refuses O_DIRECT; use Cache=writeback\n");
                return;
        }
        ck_assert_int_ne(fcntl(resource.disk.num, F_GETFL) & O_DIRECT, 0);
        ck_assert_uint_ge(resource.block.direct_memory, 1);
        ck_assert_uint_ge(resource.block.direct_offset, 1);
        ck_assert_uint_le(resource.block.direct_offset, 4096);
        resource_done(&resource);
}
END_TEST

/* /proc has regular files without direct I/O. */
START_TEST(direct_refused)
{
        struct resource resource;

        use_path("/proc/self/status");
        config.block.direct = config.block.read_only = true;
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), -EINVAL);
        ck_assert_str_eq(scratch.lines, "/proc/self/status: this file system refuses O_DIRECT; use Cache=writeback\n");
}
END_TEST

START_TEST(no_disk)
{
        struct resource resource;

        config.block.engine = IPC_ENGINE_NULL;
        config.block.size = 1 << 30;
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        ck_assert(!fd_has(&resource.disk));
        ck_assert_uint_eq(resource.block.capacity, 1 << 30);
        ck_assert_uint_eq(resource.block.block_size, 512);

        config.type = &policy_rng;
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        ck_assert(!fd_has(&resource.disk));
        ck_assert_uint_eq(resource.block.capacity, 0);
}
END_TEST

START_TEST(refused)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
        static const struct {
                const char *path, *line;
        } kinds[] = {
                {"none",       "none: ENOENT\n"                                                                },
                { "fifo",      "fifo: is a fifo; a disk is a regular file or a block device\n"                 },
                { "dir",       "dir: is a directory; a disk is a regular file or a block device\n"             },
                { "socket",    "socket: is a socket; a disk is a regular file or a block device\n"             },
                { "/dev/zero", "/dev/zero: is a character device; a disk is a regular file or a block device\n"},
                { "to-fifo",   "to-fifo: is a fifo; a disk is a regular file or a block device\n"              },
                { "empty",     "empty: is empty: a disk has at least one block of 512 bytes\n"                 },
                { "tiny",      "tiny: is empty: a disk has at least one block of 512 bytes\n"                  },
        };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct resource resource;

        ck_assert_int_eq(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        close(fd);
        ck_assert_int_eq(mkfifo("fifo", 0600), 0);
        ck_assert_int_eq(symlink("fifo", "to-fifo"), 0);
        ck_assert_int_eq(mkdir("dir", 0700), 0);
        scratch_file("empty", "");
        scratch_file("tiny", "tiny");
        for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
                use_path(kinds[i].path);
                scratch_quiet(&scratch);
                ck_assert_int_lt(resource_open(&config, &scratch.log, 0, &resource), 0);
                ck_assert_str_eq(scratch.lines, kinds[i].line);
        }
}
END_TEST

/* The operator is sent to the line or the option that names the disk. */
START_TEST(place_is_told)
{
        struct config_place line = { "a.conf", 7 }, option = { "--blk-file=/none/here", 0 };
        struct resource resource;

        ck_assert_int_eq(config_set(&config, &line, "Block", "Path", "/none/here", &scratch.log), 0);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), -ENOENT);
        ck_assert_str_eq(scratch.lines, "a.conf:7: /none/here: ENOENT\n");

        scratch_quiet(&scratch);
        config.layer++;
        ck_assert_int_eq(config_set(&config, &option, "Block", "Path", "/none/here", &scratch.log), 0);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), -ENOENT);
        ck_assert_str_eq(scratch.lines, "--blk-file=/none/here: ENOENT\n");
}
END_TEST

/* Root may write to anything, so it steps down. */
START_TEST(unwritable)
{
        bool root = geteuid() == 0;
        struct resource resource;
        int r;

        make_disk(4096);
        ck_assert_int_eq(chmod("disk", 0444), 0);
        ck_assert_int_eq(chmod(".", 0755), 0);
        if (root)
                ck_assert_int_eq(seteuid(65534), 0);
        r = resource_open(&config, &scratch.log, 0, &resource);
        if (root)
                ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(r, -EACCES);
        ck_assert_str_eq(scratch.lines, "disk: can't be opened for reading and writing: EACCES\n");
}
END_TEST

/* Where an ordinary user may open it, that is his; else the device is refused, and says what it needs and why. */
START_TEST(postcopy_that_the_kernel_refuses)
{
        static const char path[] = "/dev/userfaultfd";
        bool root = geteuid() == 0;
        struct resource resource;
        char wanted[160];
        int r, may;

        config.postcopy = true;
        config.where[CONFIG_POSTCOPY] = strdup("d.conf:7");
        make_disk(4096);
        ck_assert_int_eq(chmod("disk", 0666), 0);
        ck_assert_int_eq(chmod(".", 0755), 0);
        if (root)
                ck_assert_int_eq(seteuid(65534), 0);
        may = faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0 ? -errno : 0;
        r = resource_open(&config, &scratch.log, 0, &resource);
        if (root)
                ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(r, may);
        if (r == 0) {
                ck_assert(fd_has(&resource.userfault));
                resource_done(&resource);
                return;
        }
        snprintf(wanted, sizeof(wanted), "d.conf:7: %s: Postcopy=yes needs to open it: %s%s\n", path, log_errno(may),
                 may == -ENOENT ? " (Linux 6.1 and later have it)" : "");
        ck_assert_str_eq(scratch.lines, wanted);
}
END_TEST

/* --- locks ----------------------------------------------------------------------------------------------------- */

static const struct {
        bool first_writes, first_locks, second_writes, second_locks;
        const char *line; /* NULL: both may */
} pairs[] = {
        {true,   true,  true,  true,
         "disk: can't be used for writing: another process uses it and lets nobody write to it (Locking=off would not "
          "care)\n"                                                                                    },
        { true,  true,  false, true,
         "disk: can't be used for reading: another process writes to it (Locking=off would not care)\n"},
        { false, true,  true,  true,
         "disk: can't be used for writing: another process uses it and lets nobody write to it (Locking=off would not "
          "care)\n"                                                                                    },
        { false, true,  false, true,  NULL                                                             },
        { true,  false, true,  true,  NULL                                                             },
        { true,  true,  true,  false, NULL                                                             },
};

START_TEST(pair)
{
        struct resource first, second;
        int r;

        make_disk(4096);
        config.block.read_only = !pairs[_i].first_writes;
        config.block.locking = pairs[_i].first_locks;
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &first), 0);
        config.block.read_only = !pairs[_i].second_writes;
        config.block.locking = pairs[_i].second_locks;
        r = resource_open(&config, &scratch.log, 0, &second);
        ck_assert_str_eq(scratch.lines, pairs[_i].line ? pairs[_i].line : "");
        ck_assert_int_eq(r, pairs[_i].line ? -EBUSY : 0);
        if (r == 0)
                resource_done(&second);
        resource_done(&first);
}
END_TEST

/* The lock is that of the open file: a worker's duplicate keeps it, the last close ends it. */
START_TEST(lock_ends_with_last_duplicate)
{
        struct resource first, second;
        struct fd duplicate;

        make_disk(4096);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &first), 0);
        ck_assert_int_eq(fd_dup(first.disk.num, &duplicate), 0);
        resource_done(&first);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &second), -EBUSY);
        fd_close(&duplicate);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &second), 0);
        resource_done(&second);
}
END_TEST

/* What a killed broker has left keeps its locks for a while: its duplicate is another process's here. */
START_TEST(lock_is_waited_for)
{
        struct resource first, second;
        int status, go[2];
        pid_t pid;
        char byte;

        make_disk(4096);
        ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &first), 0);
        pid = fork();
        if (pid == 0) {
                close(go[1]);
                if (read(go[0], &byte, 1) == 0)
                        poll(NULL, 0, 100); /* now the other looks again */
                _exit(0);
        }
        ck_assert_int_gt(pid, 0);
        resource_done(&first);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &second), -EBUSY);
        close(go[0]);
        close(go[1]);
        ck_assert_int_eq(resource_open(&config, &scratch.log, clock_now_ns() + 10000000000LL, &second), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        resource_done(&second);
}
END_TEST

/* Who is refused, or still waits, keeps no lock in which the next one would see him. */
START_TEST(refused_holds_nothing)
{
        const char *conflict;
        struct resource resource;
        int asks;

        make_disk(4096);
        asks = open("disk", O_RDWR | O_CLOEXEC);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        ck_assert_int_eq(image_lock(asks, true, &conflict), -EBUSY);
        resource_done(&resource);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
        resource_done(&resource);
        close(asks);
}
END_TEST

/* A refused opener must not leave locks that refuse the next. */
START_TEST(refusal_leaves_nothing)
{
        struct resource first, second;

        make_disk(4096);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &first), 0);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &second), -EBUSY);
        resource_done(&first);
        ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &first), 0);
        resource_done(&first);
}
END_TEST

/* Exactly these bytes, seen by somebody else: used read (100), write (101); unshared write (201), resize (203). */
START_TEST(bytes)
{
        static const bool rw[] = { [100] = true, [101] = true, [201] = true, [203] = true, [255] = false };
        static const bool ro[] = { [100] = true, [201] = true, [203] = true, [255] = false };

        for (int writes = 0; writes < 2; writes++) {
                const bool *held = writes ? rw : ro;
                struct resource resource;
                int other;

                make_disk(4096);
                config.block.read_only = !writes;
                ck_assert_int_eq(resource_open(&config, &scratch.log, 0, &resource), 0);
                other = open("disk", O_RDONLY | O_CLOEXEC);
                for (int at = 0; at < 256; at++) {
                        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

                        ck_assert_int_eq(fcntl(other, F_OFD_GETLK, &lock), 0);
                        ck_assert_msg((lock.l_type != F_UNLCK) == held[at], "byte %d", at);
                }
                close(other);
                resource_done(&resource);
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("resource");
        TCase *all = tcase_create("all");
        SRunner *runner;
        int failed;

        tcase_add_checked_fixture(all, enter, leave);
        tcase_add_test(all, file);
        tcase_add_test(all, block_size);
        tcase_add_test(all, read_only);
        tcase_add_test(all, discard_probe_is_harmless);
        tcase_add_test(all, direct);
        tcase_add_test(all, direct_refused);
        tcase_add_test(all, no_disk);
        tcase_add_test(all, refused);
        tcase_add_test(all, place_is_told);
        tcase_add_test(all, unwritable);
        tcase_add_test(all, postcopy_that_the_kernel_refuses);
        tcase_add_loop_test(all, pair, 0, (int) ARRAY_SIZE(pairs));
        tcase_add_test(all, lock_ends_with_last_duplicate);
        tcase_add_test(all, lock_is_waited_for);
        tcase_add_test(all, refused_holds_nothing);
        tcase_add_test(all, refusal_leaves_nothing);
        tcase_add_test(all, bytes);
        suite_add_tcase(suite, all);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
