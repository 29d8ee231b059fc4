/*
 * Stage 1: a pair of confined children, session and worker, for one connection.
 */
#pragma once

#include "child.h"
#include "fd.h"

#include <sys/types.h>

enum { SPAWN_MOST = 2 };

struct spawn {
        int range; /* borrowed: the range namespace; -1: none can be had and the config agrees */
        int cgroup; /* borrowed: cgroup.procs of the device's cgroup; -1: the children stay in the broker's */
        const struct child *child[SPAWN_MOST];
        unsigned n;
        struct fd *give[SPAWN_MOST]; /* closed by us before a child exists, so that the last close is never ours */
        unsigned n_give;
};

struct spawned {
        pid_t pid;
        struct fd pidfd; /* owned by the caller */
};

/*
 * Takes what is given and spawns the n children side by side in one new, empty net namespace and returns when each runs
 * its own program. The children are the caller's: it must waitid() them. On failure none is left, ret_stage names what
 * failed, ret_which the child; -errno is returned; -EAGAIN with the gifts untouched: no process could be made at all.
 */
int spawn_children(const struct spawn *spawn, struct spawned *ret_children, enum child_stage *ret_stage,
                   unsigned *ret_which);
