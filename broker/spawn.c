/*
 * Stage 1 of confinement. A forked stage enters the range namespace, where the broker's uid is all-powerful over a
 * range of ids and nothing else, makes the namespaces and ends; the children it clones are the broker's own
 * (CLONE_PARENT), so that their exit status reaches the broker. clone3 is not used: under RestrictNamespaces= of
 * systemd 252 it is hidden.
 */
#include "spawn.h"

#include "cgroup.h"
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        PATIENCE_MS = 5000, /* for our own code before exec; far beyond what a loaded host needs */

        /* What a report says. */
        REPORT_PID = 1,
        REPORT_FAILED = 2,
};

/* One write to the report pipe, which nobody but our own code holds; exec and exit close it. */
struct report {
        int32_t kind;
        uint32_t which; /* child */
        int32_t stage;
        int32_t error;
        pid_t pid;
};

static void say(int pipe, const struct report *report)
{
        ssize_t written;

        do
                written = write(pipe, report, sizeof(*report));
        while (written < 0 && errno == EINTR);
}

static void __attribute__((noreturn)) fail(int pipe, unsigned which, enum child_stage stage, int error)
{
        say(pipe, &(struct report){ .kind = REPORT_FAILED, .which = which, .stage = (int32_t) stage, .error = error });
        _exit(1);
}

/* Gives the child in its new user namespace exactly one uid and one gid. */
static int map_ids(pid_t pid, uint32_t id)
{
        char line[32];
        int r;

        snprintf(line, sizeof(line), "%u %u 1\n", (unsigned) CHILD_INSIDE_ID, (unsigned) id);
        r = proc_write(pid, "gid_map", line);
        return r < 0 ? r : proc_write(pid, "uid_map", line);
}

static void __attribute__((noreturn)) run_child(const struct child *child, unsigned which, int report, int go)
{
        enum child_stage stage = CHILD_STAGE_MAP;
        char byte;
        int r = -ECANCELED; /* the stage ended without a word */

        if (read(go, &byte, 1) == 1)
                r = child_exec(child, &stage);
        fail(report, which, stage, r);
}

static void clone_one(const struct spawn *spawn, unsigned which, int report)
{
        const struct child *child = spawn->child[which];
        unsigned long flags = CLONE_PARENT | SIGCHLD;
        struct report born = { .kind = REPORT_PID, .which = which };
        int go[2];
        int r;

        if (child->namespaces)
                flags |= CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
        if (pipe2(go, O_CLOEXEC) < 0)
                fail(report, which, CHILD_STAGE_CLONE, -errno);
        born.pid = (pid_t) syscall(SYS_clone, flags, NULL, NULL, NULL, 0);
        if (born.pid < 0)
                fail(report, which, CHILD_STAGE_CLONE, -errno);
        if (born.pid == 0) {
                close(go[1]);
                run_child(child, which, report, go[0]);
        }
        say(report, &born);
        close(go[0]);
        r = spawn->cgroup >= 0 ? cgroup_move(spawn->cgroup, born.pid) : 0;
        if (r < 0)
                fail(report, which, CHILD_STAGE_CGROUP, r);
        r = child->namespaces ? map_ids(born.pid, child->id) : 0;
        if (r < 0)
                fail(report, which, CHILD_STAGE_MAP, r);
        if (write(go[1], "", 1) != 1)
                fail(report, which, CHILD_STAGE_MAP, -errno);
        close(go[1]);
}

/*
 * Must hold no more than the range namespace gives while it clones. DUMPABLE lets it write its children's id maps;
 * there is nothing secret in it that the broker's uid could not read otherwise.
 */
static void __attribute__((noreturn)) run_stage(const struct spawn *spawn, int report, int go)
{
        char byte;

        if (read(go, &byte, 1) != 1)
                _exit(1);
        close(go);
        if (spawn->range >= 0) {
                if (setns(spawn->range, CLONE_NEWUSER) < 0)
                        fail(report, 0, CHILD_STAGE_ENTER, -errno);
                /* The broker's own uid need not be one of the range: who has no id in a namespace makes none below it.
                 */
                if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
                        fail(report, 0, CHILD_STAGE_ENTER, -errno);
                if (unshare(CLONE_NEWNET) < 0)
                        fail(report, 0, CHILD_STAGE_NET, -errno);
        }
        if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
                fail(report, 0, CHILD_STAGE_ENTER, -errno);
        for (unsigned i = 0; i < spawn->n; i++)
                clone_one(spawn, i, report);
        _exit(0);
}

/* Reads reports until all that could write one have executed their program or ended. */
static int hear(int report, struct spawned *children, unsigned n, enum child_stage *ret_stage, unsigned *ret_which)
{
        struct report said;
        int result = 0;

        for (;;) {
                struct pollfd ready = { .fd = report, .events = POLLIN };
                ssize_t got;

                if (poll(&ready, 1, PATIENCE_MS) == 0)
                        return -ETIMEDOUT;
                got = read(report, &said, sizeof(said));
                if (got < 0 && errno == EINTR)
                        continue;
                if (got != (ssize_t) sizeof(said) || said.which >= n)
                        return got == 0 ? result : -EPROTO;
                if (said.kind == REPORT_PID) {
                        children[said.which].pid = said.pid;
                } else if (result == 0) {
                        result = said.error ? said.error : -EPROTO;
                        *ret_stage = (enum child_stage) said.stage;
                        *ret_which = said.which;
                }
        }
}

/* Ends and reaps what was born of a spawn that failed. */
static void undo(struct spawned *children, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                if (children[i].pid > 0) {
                        if (fd_has(&children[i].pidfd))
                                syscall(SYS_pidfd_send_signal, children[i].pidfd.num, SIGKILL, NULL, 0);
                        else
                                kill(children[i].pid, SIGKILL);
                        waitpid(children[i].pid, NULL, 0);
                }
                fd_close(&children[i].pidfd);
                children[i].pid = 0;
        }
}

/* Our children cannot be reaped by anyone else, so their pids still name them. */
static int open_pidfds(struct spawned *children, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                if (children[i].pid <= 0)
                        return -ECHILD;
                children[i].pidfd.num = (int) syscall(SYS_pidfd_open, children[i].pid, 0);
                if (children[i].pidfd.num < 0)
                        return -errno;
        }
        return 0;
}

/* Forks the stage and lets it go once we hold none of what it was given. Returns its pid or -errno. */
static pid_t start_stage(const struct spawn *spawn, int report)
{
        int go[2];
        pid_t stage;

        if (pipe2(go, O_CLOEXEC) < 0)
                return -errno;
        stage = fork();
        if (stage == 0) {
                close(go[1]);
                run_stage(spawn, report, go[0]);
        }
        if (stage < 0)
                stage = -EAGAIN;
        close(go[0]);
        if (stage > 0) {
                for (unsigned i = 0; i < spawn->n_give; i++)
                        fd_close(spawn->give[i]);
                while (write(go[1], "", 1) < 0 && errno == EINTR)
                        ;
        }
        close(go[1]);
        return stage;
}

int spawn_children(const struct spawn *spawn, struct spawned *ret_children, enum child_stage *ret_stage,
                   unsigned *ret_which)
{
        int report[2];
        pid_t stage;
        int r = 0;

        for (unsigned i = 0; i < spawn->n; i++)
                ret_children[i] = (struct spawned){ .pid = 0, .pidfd = FD_NONE };
        *ret_stage = CHILD_STAGE_ENTER;
        *ret_which = 0;
        if (pipe2(report, O_CLOEXEC) < 0)
                return -EAGAIN;
        stage = start_stage(spawn, report[1]);
        close(report[1]);
        if (stage < 0) {
                close(report[0]);
                return -EAGAIN;
        }
        r = hear(report[0], ret_children, spawn->n, ret_stage, ret_which);
        close(report[0]);
        if (r < 0)
                kill(stage, SIGKILL);
        waitpid(stage, NULL, 0);
        if (r == 0)
                r = open_pidfds(ret_children, spawn->n);
        if (r < 0)
                undo(ret_children, spawn->n);
        return r;
}
