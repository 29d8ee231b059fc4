/*
 * The cgroups of the devices. The kernel judges a move by the rights of whoever opened cgroup.procs: so it is opened
 * here, at start, and the broker needs no right to cgroups once it runs.
 */
#include "cgroup.h"

#include "clock_now.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PREFIX "device-" /* no file of the kernel's own in such a directory begins like this */

enum {
        NAME_BYTES = 128,
        END_MS = 2000, /* for processes that were killed; who blocks in the kernel may take longer */
};

static int write_file(int dir, const char *file, const char *text)
{
        AUTO_FD num = { openat(dir, file, O_WRONLY | O_CLOEXEC) };

        if (!fd_has(&num))
                return -errno;
        return write(num.num, text, strlen(text)) < 0 ? -errno : 0;
}

/* One line names the path and what failed there. */
static int say(const struct log *log, const char *dir, const char *what, int r)
{
        log_error(log, "cgroup %.200s: %s: %s", dir, what, log_errno(r));
        return r;
}

static int open_dir(const char *dir, const struct log *log, struct fd *ret_dir)
{
        struct statfs fs;

        ret_dir->num = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (!fd_has(ret_dir))
                return say(log, dir, "opening it", -errno);
        if (fstatfs(ret_dir->num, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
                return 0;
        fd_close(ret_dir);
        return say(log, dir, "it is not in a cgroup file system of version 2", -EINVAL);
}

static bool populated(int events)
{
        char text[256];
        ssize_t n = pread(events, text, sizeof(text) - 1, 0);

        text[n < 0 ? 0 : n] = '\0';
        return n < 0 || strstr(text, "populated 1");
}

/* The kernel tells by POLLPRI that cgroup.events has changed. */
static int await_empty(int events, long long deadline)
{
        while (populated(events)) {
                struct pollfd changed = { .fd = events, .events = POLLPRI };
                long long left = deadline - clock_now_ns();

                if (left <= 0)
                        return -ETIMEDOUT;
                if (poll(&changed, 1, (int) (left / 1000000) + 1) < 0 && errno != EINTR)
                        return -errno;
        }
        return 0;
}

static int empty_group(int group, const char *name, long long deadline, const struct log *log)
{
        AUTO_FD events = { openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC) };
        int r;

        if (!fd_has(&events))
                return -errno;
        if (!populated(events.num))
                return 0;
        log_notice(log, "cgroup %s: processes of an earlier broker are left: killed", name);
        r = write_file(group, "cgroup.kill", "1");
        return r < 0 ? r : await_empty(events.num, deadline);
}

static void end_group(int dir, const char *name, long long deadline, const struct log *log)
{
        AUTO_FD group = { openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
        int r = fd_has(&group) ? empty_group(group.num, name, deadline, log) : -errno;

        if (r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0)
                r = -errno;
        if (r < 0)
                log_warning(log, "cgroup %s: what an earlier broker left cannot be removed: %s", name, log_errno(r));
}

static int end_groups(int dir, const struct log *log)
{
        long long deadline = clock_now_ns() + END_MS * 1000000LL;
        struct dirent *entry;
        struct fd listed;
        DIR *list;
        int r = fd_dup(dir, &listed);

        if (r < 0)
                return r;
        list = fdopendir(listed.num);
        if (!list) {
                r = -errno;
                fd_close(&listed);
                return r;
        }
        while ((entry = readdir(list)))
                if (entry->d_type == DT_DIR && strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0)
                        end_group(dir, entry->d_name, deadline, log);
        closedir(list);
        return 0;
}

int cgroup_take_over(const char *path, const struct log *log)
{
        AUTO_FD dir = FD_NONE;
        int r = open_dir(path, log, &dir);

        if (r < 0)
                return r;
        r = end_groups(dir.num, log);
        if (r < 0)
                return say(log, path, "listing it", r);
        r = write_file(dir.num, "cgroup.subtree_control", "+pids");
        return r < 0 ? say(log, path, "the pids controller", r) : 0;
}

int cgroup_make(const char *path, const char *device, unsigned tasks, const struct log *log, struct fd *ret_procs)
{
        AUTO_FD dir = FD_NONE;
        AUTO_FD group = FD_NONE;
        char name[NAME_BYTES], text[16];
        int r = open_dir(path, log, &dir);

        if (r < 0)
                return r;
        snprintf(name, sizeof(name), PREFIX "%s", device);
        snprintf(text, sizeof(text), "%u", tasks);
        if (mkdirat(dir.num, name, 0755) < 0 && errno != EEXIST)
                return say(log, path, name, -errno);
        group.num = openat(dir.num, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (!fd_has(&group))
                return say(log, path, name, -errno);
        r = write_file(group.num, "pids.max", text);
        if (r < 0)
                return say(log, path, "pids.max", r);
        ret_procs->num = openat(group.num, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        return fd_has(ret_procs) ? 0 : say(log, path, "cgroup.procs", -errno);
}

int cgroup_move(int procs, pid_t pid)
{
        char text[16];
        int n = snprintf(text, sizeof(text), "%d", (int) pid);

        return write(procs, text, (size_t) n) == n ? 0 : -errno;
}
