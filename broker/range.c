/*
 * The process that makes the range namespace and the empty root. It does one thing after the other, says how that
 * went, and ends when it is let go.
 */
#include "range.h"

#include "empty_root.h"
#include "identity.h"
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef VB_SANITIZED
/* Test builds only, of dynamic programs: their loader and libraries are looked up after exec. */
enum { HAS_EMPTY_ROOT = false };
#else
enum { HAS_EMPTY_ROOT = true };
#endif

static int write_maps(pid_t pid, uint32_t gid, uint32_t uid, uint32_t count, bool may_set_groups)
{
        AUTO_FD proc = FD_NONE;
        char line[64];
        int r = proc_open(&proc);

        if (r == 0 && !may_set_groups)
                r = proc_write(&proc, pid, "setgroups", "deny");
        snprintf(line, sizeof(line), "0 %u %u\n", gid, count);
        if (r == 0)
                r = proc_write(&proc, pid, "gid_map", line);
        snprintf(line, sizeof(line), "0 %u %u\n", uid, count);
        return r < 0 ? r : proc_write(&proc, pid, "uid_map", line);
}

/* Must hold SETUID and SETGID over the host, as the broker's uid (which the files belong to), and end at once. */
static int map(const struct range_want *want, pid_t maker)
{
        int r = identity_become(want->uid, want->gid, true);

        return r < 0 ? r : write_maps(maker, want->first, want->first, want->count, true);
}

/* Who changes its ids or namespaces is not dumpable any more, and a stranger to the broker's uid. */
static int stay_open(void)
{
        return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* The namespace must be owned by the broker's own uid: it is made by a process that has no other. */
static int make_range(const struct range_want *want)
{
        int r = want->privileged ? identity_become(want->uid, want->gid, false) : 0;

        if (r == 0)
                r = stay_open();
        if (r == 0 && unshare(CLONE_NEWUSER) < 0)
                r = -errno;
        if (r == 0)
                r = stay_open();
        if (r == 0 && !want->privileged)
                r = write_maps(getpid(), (uint32_t) want->gid, (uint32_t) want->uid, 1, false);
        return r;
}

/* The directory must belong to an id of the range that no child has, if there is more than one. */
static int make_root(void)
{
        int r;

        if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
                return -errno;
        r = empty_root_make();
        return r < 0 ? r : stay_open();
}

static bool say(int said, int32_t result)
{
        return write(said, &result, sizeof(result)) == sizeof(result);
}

static void __attribute__((noreturn)) run_maker(const struct range_want *want, int said, int go)
{
        if (say(said, make_range(want)) && fd_await_byte(go) && say(said, make_root()))
                fd_await_byte(go);
        _exit(0);
}

static int hear(const struct range_maker *maker)
{
        int32_t result;

        return read(maker->said.num, &result, sizeof(result)) == sizeof(result) ? result : -ECHILD;
}

int range_begin(const struct range_want *want, struct range_maker *ret_maker)
{
        struct range_maker maker = { .said = FD_NONE, .go = FD_NONE };
        int said[2], go[2];

        *ret_maker = maker;
        if (pipe2(said, O_CLOEXEC) < 0)
                return -errno;
        maker.said.num = said[0];
        if (pipe2(go, O_CLOEXEC) < 0) {
                int r = -errno;

                fd_close(&maker.said);
                close(said[1]);
                return r;
        }
        maker.go.num = go[1];
        maker.pid = fork();
        if (maker.pid == 0) {
                close(go[1]);
                run_maker(want, said[1], go[0]);
        }
        close(said[1]);
        close(go[0]);
        *ret_maker = maker;
        return maker.pid < 0 ? -EAGAIN : hear(&maker);
}

/* In a process of its own, which ends with the privilege that it takes. */
int range_map(const struct range_want *want, const struct range_maker *maker)
{
        int status;
        pid_t pid;

        if (!want->privileged)
                return 0;
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                _exit(-map(want, maker->pid) & 0xff);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

int range_make_root(struct range_maker *maker)
{
        if (!HAS_EMPTY_ROOT)
                return 0;
        return write(maker->go.num, "", 1) == 1 ? hear(maker) : -ECHILD;
}

int range_open(const struct range_maker *maker, struct fd *ret_range, struct fd *ret_root)
{
        int r = proc_open_namespace(maker->pid, "user", ret_range);

        *ret_root = FD_NONE;
        return r == 0 && HAS_EMPTY_ROOT ? proc_open_namespace(maker->pid, "mnt", ret_root) : r;
}

void range_end(struct range_maker *maker)
{
        fd_close(&maker->go);
        fd_close(&maker->said);
        if (maker->pid > 0)
                waitpid(maker->pid, NULL, 0);
        maker->pid = 0;
}
