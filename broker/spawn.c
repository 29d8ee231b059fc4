/*
 * Stage 1 of confinement. A forked stage enters the range namespace, where the broker's uid is all-powerful over a
 * range of ids and nothing else, the device's net namespace, and the empty root, of which each child gets a copy. It
 * clones the children and ends; they are the broker's own (CLONE_PARENT), so that their exit status reaches the broker.
 * clone3 is not used: under RestrictNamespaces= of systemd 252 it is hidden.
 */
#include "spawn.h"

#include "cgroup.h"
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEPT_MOST = 6 + SPAWN_MOST * (1 + CHILD_FDS) };

/* The forked process. */
struct stage {
        const struct spawn *spawn;
        struct spawn_progress *progress;
        struct fd proc; /* the host's; it has no name where the stage goes */
        int report;
};

/* A failure, in one write to the report pipe, which nobody but our own code holds; exec and exit close it. */
struct report {
        uint32_t which; /* child */
        int32_t stage;
        int32_t error;
};

static void __attribute__((noreturn)) fail(int pipe, unsigned which, enum child_stage stage, int error)
{
        const struct report report = { .which = which, .stage = (int32_t) stage, .error = error };

        while (write(pipe, &report, sizeof(report)) < 0 && errno == EINTR)
                ;
        _exit(1);
}

/* Gives the child in its new user namespace exactly one uid and one gid. */
static int map_ids(const struct fd *proc, pid_t pid, uint32_t id)
{
        char line[32];
        int r;

        snprintf(line, sizeof(line), "%u %u 1\n", (unsigned) CHILD_INSIDE_ID, (unsigned) id);
        r = proc_write(proc, pid, "gid_map", line);
        return r < 0 ? r : proc_write(proc, pid, "uid_map", line);
}

static void __attribute__((noreturn))
run_child(const struct child *child, unsigned which, enum child_stage *at, int report, int go)
{
        int r = child_prepare(child, at);

        if (r == 0) {
                *at = CHILD_STAGE_MAP;
                if (!fd_await_byte(go))
                        r = -ECANCELED; /* who was to write it ended without a word */
        }
        if (r == 0)
                r = child_exec(child, at);
        fail(report, which, *at, r);
}

/* Lets the child go on when it is where it belongs. */
static int settle(const struct stage *stage, const struct child *child, pid_t pid, int go, enum child_stage *ret_at)
{
        const struct spawn *spawn = stage->spawn;
        int r;

        *ret_at = CHILD_STAGE_CGROUP;
        r = spawn->cgroup >= 0 ? cgroup_move(spawn->cgroup, pid) : 0;
        if (r < 0)
                return r;
        *ret_at = CHILD_STAGE_MAP;
        r = child->namespaces ? map_ids(&stage->proc, pid, child->id) : 0;
        if (r < 0)
                return r;
        return write(go, "", 1) == 1 ? 0 : -errno;
}

/* The kernel notes the child's pid before the child runs: whoever ends us finds nobody who is not known. */
static void clone_one(const struct stage *stage, unsigned which)
{
        const struct child *child = stage->spawn->child[which];
        struct spawn_child_progress *progress = &stage->progress->child[which];
        unsigned long flags = CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD;
        int go[2];
        pid_t pid;
        int r;

        progress->mapping = CHILD_STAGE_CLONE;
        progress->at = CHILD_STAGE_FDS; /* where it begins, if it ever runs */
        if (child->namespaces)
                flags |= CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
        if (pipe2(go, O_CLOEXEC) < 0)
                fail(stage->report, which, progress->mapping, -errno);
        pid = (pid_t) syscall(SYS_clone, flags, NULL, &progress->pid, NULL, 0);
        if (pid < 0)
                fail(stage->report, which, progress->mapping, -errno);
        if (pid == 0) {
                close(go[1]);
                run_child(child, which, &progress->at, stage->report, go[0]);
        }
        close(go[0]);
        r = settle(stage, child, pid, go[1], &progress->mapping);
        if (r < 0)
                fail(stage->report, which, progress->mapping, r);
        close(go[1]);
        progress->mapping = CHILD_STAGES;
}

/* Adds one to a sorted list. */
static void keep(int *kept, unsigned *n, int fd)
{
        unsigned at = (*n)++;

        for (; at > 0 && kept[at - 1] > fd; at--)
                kept[at] = kept[at - 1];
        kept[at] = fd;
}

/*
 * Must hold none of what belongs to other devices: whoever waits for a hang-up there would wait for us as well, or for
 * a child that hangs before it executes its program.
 */
static int keep_own(const struct spawn *spawn, int report, int go)
{
        int kept[KEPT_MOST];
        unsigned n = 0, from = CHILD_FDS;

        keep(kept, &n, report);
        keep(kept, &n, go);
        keep(kept, &n, spawn->range);
        keep(kept, &n, spawn->root);
        keep(kept, &n, spawn->net);
        keep(kept, &n, spawn->cgroup);
        for (unsigned i = 0; i < spawn->n; i++) {
                keep(kept, &n, spawn->child[i]->program);
                for (unsigned j = 0; j < CHILD_FDS; j++)
                        keep(kept, &n, spawn->child[i]->fd[j]);
        }
        for (unsigned i = 0; i < n; i++) {
                if (kept[i] < (int) from)
                        continue;
                if (kept[i] > (int) from && close_range(from, (unsigned) kept[i] - 1, 0) < 0)
                        return -errno;
                from = (unsigned) kept[i] + 1;
        }
        return close_range(from, ~0U, 0) < 0 ? -errno : 0;
}

/* Must hold no more than the range namespace gives, and see no file of the host, while it clones. */
static int enter_namespaces(struct stage *stage)
{
        const struct spawn *spawn = stage->spawn;
        int r = proc_open(&stage->proc);

        if (r < 0)
                return r;
        if (setns(spawn->range, CLONE_NEWUSER) < 0)
                return -errno;
        /* The broker's own uid need not be of the range: who has no id in a namespace makes none below it. */
        if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
                return -errno;
        stage->progress->stage = CHILD_STAGE_NET;
        if ((spawn->net >= 0 ? setns(spawn->net, CLONE_NEWNET) : unshare(CLONE_NEWNET)) < 0)
                return -errno;
        stage->progress->stage = CHILD_STAGE_ROOT;
        return spawn->root >= 0 && setns(spawn->root, CLONE_NEWNS) < 0 ? -errno : 0;
}

/*
 * DUMPABLE lets it write its children's id maps; there is nothing secret in it that the broker's uid could not read
 * otherwise.
 */
static int enter(struct stage *stage, int go)
{
        int r;

        stage->progress->stage = CHILD_STAGE_FDS;
        r = keep_own(stage->spawn, stage->report, go);
        if (r < 0)
                return r;
        stage->progress->stage = CHILD_STAGE_ENTER;
        if (stage->spawn->range >= 0) {
                r = enter_namespaces(stage);
                if (r < 0)
                        return r;
                stage->progress->stage = CHILD_STAGE_ENTER;
        }
        return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* A new net namespace has a name, for the broker to open, only while somebody is in it who is not confined. */
static void await_end(const struct stage *stage, int go)
{
        close(stage->report);
        fd_await_byte(go);
}

/* Must neither clone nor end before the broker lets it go: until then what it was given has its last close there. */
static void __attribute__((noreturn)) run_stage(struct stage *stage, int go)
{
        int r = enter(stage, go);

        if (!fd_await_byte(go))
                _exit(1);
        if (r < 0)
                fail(stage->report, 0, stage->progress->stage, r);
        stage->progress->stage = CHILD_STAGES;
        for (unsigned i = 0; i < stage->spawn->n; i++)
                clone_one(stage, i);
        if (stage->spawn->net < 0 && stage->spawn->range >= 0)
                await_end(stage, go);
        _exit(0);
}

/* One byte each: the first when we hold none of what it was given, the second when it may end. */
static void let_go(const struct fd *go)
{
        while (write(go->num, "", 1) < 0 && errno == EINTR)
                ;
}

/* Forks the stage and lets it go on. Returns its pid or -errno. */
static pid_t start_stage(const struct spawn *spawn, struct spawn_progress *progress, int report, struct fd *ret_go)
{
        int go[2];
        pid_t stage;

        if (pipe2(go, O_CLOEXEC) < 0)
                return -errno;
        stage = fork();
        if (stage == 0) {
                close(go[1]);
                run_stage(&(struct stage){ .spawn = spawn, .progress = progress, .proc = FD_NONE, .report = report }, go[0]);
        }
        if (stage < 0)
                stage = -EAGAIN;
        close(go[0]);
        ret_go->num = go[1];
        if (stage > 0) {
                for (unsigned i = 0; i < spawn->n_give; i++)
                        fd_close(spawn->give[i]);
                let_go(ret_go);
        }
        return stage;
}

int spawn_begin(const struct spawn *spawn, struct spawning *ret_spawning)
{
        struct spawn_progress *progress =
                mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct spawning spawning = { .report = FD_NONE, .go = FD_NONE, .progress = progress, .n = spawn->n };
        int report[2];

        if (progress == MAP_FAILED)
                return -EAGAIN;
        for (unsigned i = 0; i < SPAWN_MOST; i++)
                progress->child[i].mapping = progress->child[i].at = CHILD_STAGES;
        if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) {
                spawn_done(&spawning);
                return -EAGAIN;
        }
        spawning.report.num = report[0];
        spawning.stage = start_stage(spawn, progress, report[1], &spawning.go);
        close(report[1]);
        if (spawning.stage < 0) {
                spawn_done(&spawning);
                return -EAGAIN;
        }
        /* Those of other devices have no business there: we kill by what stands in it. */
        if (madvise(progress, sizeof(*progress), MADV_DONTFORK) < 0)
                spawning.error = -errno;
        *ret_spawning = spawning;
        return 0;
}

void spawn_done(struct spawning *spawning)
{
        fd_close(&spawning->report);
        if (fd_has(&spawning->go))
                let_go(&spawning->go);
        fd_close(&spawning->go);
        if (spawning->progress)
                munmap(spawning->progress, sizeof(*spawning->progress));
        spawning->progress = NULL;
}

enum child_stage spawn_stands_at(const struct spawning *spawning)
{
        const struct spawn_progress *progress = spawning->progress;
        enum child_stage least = progress ? progress->stage : CHILD_STAGES;

        for (unsigned i = 0; progress && i < spawning->n; i++) {
                if (progress->child[i].mapping < least)
                        least = progress->child[i].mapping;
                if (progress->child[i].at < least)
                        least = progress->child[i].at;
        }
        return least;
}

/* Whoever was born so far. */
static void see_born(struct spawning *spawning)
{
        for (unsigned i = 0; spawning->progress && i < spawning->n; i++)
                spawning->pid[i] = spawning->progress->child[i].pid;
}

static int note(struct spawning *spawning, const struct report *said)
{
        if (said->which >= spawning->n)
                return -EPROTO;
        if (spawning->error == 0) {
                spawning->error = said->error ? said->error : -EPROTO;
                spawning->failed = (enum child_stage) said->stage;
                spawning->which = said->which;
        }
        return 0;
}

static bool hear(struct spawning *spawning)
{
        struct report said;

        for (;;) {
                ssize_t got = read(spawning->report.num, &said, sizeof(said));

                if (got == 0)
                        return true;
                if (got < 0 && errno == EAGAIN)
                        return false;
                if (got < 0 && errno == EINTR)
                        continue;
                if (got != (ssize_t) sizeof(said) || note(spawning, &said) < 0) {
                        spawning->error = spawning->error ? spawning->error : -EPROTO;
                        return true;
                }
        }
}

bool spawn_hear(struct spawning *spawning)
{
        bool all = hear(spawning);

        see_born(spawning); /* in this order: when that was all, nobody can be born any more */
        return all;
}

void spawn_kill(struct spawning *spawning)
{
        if (spawning->stage > 0)
                kill(spawning->stage, SIGKILL);
        for (unsigned i = 0; i < spawning->n; i++)
                if (spawning->pid[i] > 0)
                        kill(spawning->pid[i], SIGKILL);
}

/* A child of ours cannot be reaped by anyone else, so its pid still names it. */
static int open_pidfd(pid_t pid, struct fd *ret_pidfd)
{
        ret_pidfd->num = (int) syscall(SYS_pidfd_open, pid, 0);
        return fd_has(ret_pidfd) ? 0 : -errno;
}

int spawn_open_net(const struct spawning *spawning, struct fd *ret_net)
{
        return spawning->stage > 0 ? proc_open_namespace(spawning->stage, "net", ret_net) : -ESRCH;
}

int spawn_end_stage(struct spawning *spawning, struct fd *ret_pidfd)
{
        pid_t ended;
        int r;

        *ret_pidfd = FD_NONE;
        if (spawning->stage <= 0)
                return 0;
        ended = waitpid(spawning->stage, NULL, WNOHANG);
        r = ended == 0 ? open_pidfd(spawning->stage, ret_pidfd) : 0;
        if (r == 0)
                spawning->stage = 0;
        return r;
}

int spawn_take(struct spawning *spawning, unsigned which, pid_t *ret_pid, struct fd *ret_pidfd)
{
        pid_t pid = spawning->pid[which];
        int r = pid > 0 ? open_pidfd(pid, ret_pidfd) : 0;

        if (r == 0) {
                *ret_pid = pid;
                spawning->pid[which] = 0;
        }
        return r;
}
