/*
 * Stage 1: a pair of confined children, session and worker, for one connection.
 */
#pragma once

#include "child.h"
#include "fd.h"

#include <stdbool.h>
#include <sys/types.h>

enum { SPAWN_MOST = 2 };

struct spawn {
        int range; /* borrowed: the range namespace; -1: none can be had and the config agrees */
        int root;  /* borrowed: a mount namespace with an empty root, for each child a copy; -1: the host's */
        int net;   /* borrowed: their net namespace; -1: a new one, empty */
        int cgroup; /* borrowed: cgroup.procs of the device's cgroup; -1: the children stay in the broker's */
        const struct child *child[SPAWN_MOST];
        unsigned n;
        struct fd *give[SPAWN_MOST]; /* closed by us before a child exists, so that the last close is never ours */
        unsigned n_give;
};

struct spawn_child_progress {
        pid_t pid; /* written by the kernel before the child runs; 0: not born */
        enum child_stage mapping, at; /* where the stage is with it, where it is itself */
};

/*
 * Shared with the stage and with children until they execute their programs: our own code, and nobody else. In all
 * three, CHILD_STAGES says: not there yet, or not any more.
 */
struct spawn_progress {
        enum child_stage stage; /* where the stage is */
        struct spawn_child_progress child[SPAWN_MOST];
};

/* Children on their way to their programs. Nothing here waits; who hears nothing for too long has to kill them. */
struct spawning {
        pid_t stage; /* 0: handed over or reaped */
        struct fd go; /* lets the stage go on, and end */
        struct fd report; /* readable when there is something to hear */
        struct spawn_progress *progress; /* NULL: nobody is left who writes there */
        unsigned n;
        pid_t pid[SPAWN_MOST]; /* 0: not born, or taken */
        int error; /* 0: none failed so far; else what failed first, and of which child: */
        enum child_stage failed;
        unsigned which;
};

/*
 * Takes what is given and begins to spawn the n children side by side in one net namespace. The pids are the
 * caller's to wait for. -EAGAIN: no process could be made at all, and the gifts are untouched.
 */
int spawn_begin(const struct spawn *spawn, struct spawning *ret_spawning);

/*
 * Takes in what was reported; true: that was all. Then each child runs its own program, or has ended without a word; or
 * `error` says that a stage failed, and children that were born may be left.
 */
bool spawn_hear(struct spawning *spawning);

/* The stage that has not been passed yet: where they hang, if they do. */
enum child_stage spawn_stands_at(const struct spawning *spawning);

/* Opens the new net namespace that the stage made: once all is heard, before spawn_done. -errno. */
int spawn_open_net(const struct spawning *spawning, struct fd *ret_net);

/* Closes the report, forgets the progress and lets the stage end, once all is heard. */
void spawn_done(struct spawning *spawning);

/* Kills the stage and all children not taken yet. */
void spawn_kill(struct spawning *spawning);

/* Reaps the stage, or gives the caller a pidfd to do so when it ends. -errno: neither now. */
int spawn_end_stage(struct spawning *spawning, struct fd *ret_pidfd);

/* Gives away a child, to be reaped by the caller, after spawn_done. *ret_pid 0: it was not born. -errno: it stays. */
int spawn_take(struct spawning *spawning, unsigned which, pid_t *ret_pid, struct fd *ret_pidfd);
