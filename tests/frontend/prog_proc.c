/*
 * Programs under test: what /proc says about them.
 */
#include "fe_time.h"
#include "prog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

static int read_proc(pid_t pid, const char *what, char *to, size_t n)
{
        char path[64];
        ssize_t got;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, what);
        AUTO_FD fd = { open(path, O_RDONLY | O_CLOEXEC) };
        if (fd.num < 0)
                return -errno;
        got = read(fd.num, to, n - 1);
        if (got < 0)
                return -errno;
        to[got] = 0;
        return 0;
}

/* State of a process as in /proc/PID/stat, and its parent; 0: it is gone. */
static char state_of(pid_t pid, int *ret_parent)
{
        char stat[512], state;
        const char *behind_name;

        if (read_proc(pid, "stat", stat, sizeof(stat)))
                return 0;
        behind_name = strrchr(stat, ')');
        return behind_name && sscanf(behind_name + 1, " %c %d", &state, ret_parent) == 2 ? state : 0;
}

/* Parent of a process that is not a zombie; 0: it is one, or gone. */
static pid_t parent_of(pid_t pid)
{
        int parent;
        char state = state_of(pid, &parent);

        return state && state != 'Z' ? parent : 0;
}

static bool descends(pid_t pid, pid_t root)
{
        for (unsigned depth = 0; depth < 16 && pid > 1; depth++) {
                pid = parent_of(pid);
                if (pid == root)
                        return true;
        }
        return false;
}

static bool is_named(pid_t pid, const char *name)
{
        char cmdline[512];
        size_t n, have;

        if (!name)
                return true;
        if (read_proc(pid, "cmdline", cmdline, sizeof(cmdline)))
                return false;
        n = strlen(name);
        have = strlen(cmdline);
        return have >= n && !strcmp(cmdline + have - n, name);
}

unsigned prog_find(pid_t root, const char *name, pid_t *pids, unsigned max)
{
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        unsigned n = 0;

        while (proc && (entry = readdir(proc))) {
                pid_t pid = atoi(entry->d_name);

                if (pid <= 0 || !descends(pid, root) || !is_named(pid, name))
                        continue;
                if (n < max)
                        pids[n] = pid;
                n++;
        }
        if (proc)
                closedir(proc);
        return n;
}

int prog_count_fds(pid_t pid)
{
        char path[64];
        DIR *dir;
        int n = -2; /* "." and ".." */

        snprintf(path, sizeof(path), "/proc/%d/fd", (int) pid);
        dir = opendir(path);
        if (!dir)
                return -errno;
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void name_fds(pid_t pid)
{
        char path[300], name[256];
        struct dirent *entry;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/fd", (int) pid);
        dir = opendir(path);
        while (dir && (entry = readdir(dir))) {
                ssize_t length = readlinkat(dirfd(dir), entry->d_name, name, sizeof(name));

                if (length > 0)
                        fprintf(stderr, "%s: %.*s\n", entry->d_name, (int) length, name);
        }
        if (dir)
                closedir(dir);
}

int prog_await_fds(pid_t pid, int n, int timeout_ms)
{
        const struct timespec tick = { .tv_nsec = 2000000 }; /* looks again: another process closes without an event */
        long long deadline = fe_deadline(timeout_ms);

        while (prog_count_fds(pid) > n) {
                if (!fe_left_ms(deadline)) {
                        fprintf(stderr, "process %d has more than %d descriptors:\n", (int) pid, n);
                        name_fds(pid);
                        return -ETIMEDOUT;
                }
                nanosleep(&tick, NULL);
        }
        return 0;
}

int prog_await_children(pid_t pid, unsigned n, int timeout_ms)
{
        const struct timespec tick = { .tv_nsec = 2000000 }; /* looks again: a grandchild's end is no event for us */
        long long deadline = fe_deadline(timeout_ms);

        while (prog_find(pid, NULL, NULL, 0) > n) {
                if (!fe_left_ms(deadline))
                        return -ETIMEDOUT;
                nanosleep(&tick, NULL);
        }
        return 0;
}

int prog_await_state(pid_t pid, char state, int timeout_ms)
{
        const struct timespec tick = { .tv_nsec = 2000000 }; /* looks again: no event tells of it */
        long long deadline = fe_deadline(timeout_ms);
        int parent;

        while (state_of(pid, &parent) != state) {
                if (!fe_left_ms(deadline))
                        return -ETIMEDOUT;
                nanosleep(&tick, NULL);
        }
        return 0;
}

int prog_halt(pid_t pid, int timeout_ms)
{
        return kill(pid, SIGSTOP) < 0 ? -errno : prog_await_state(pid, 'T', timeout_ms);
}

int prog_kill(pid_t pid, int timeout_ms)
{
        AUTO_FD pidfd = { pidfd_open(pid, 0) };

        if (pidfd.num < 0)
                return -errno;
        if (pidfd_send_signal(pidfd.num, SIGKILL, NULL, 0))
                return -errno;
        return fe_poll(pidfd.num, POLLIN, fe_deadline(timeout_ms));
}
