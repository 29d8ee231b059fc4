/*
 * Limits of the broker's own process, computed from what it is to serve.
 */
#pragma once

#include "config.h"
#include "log.h"

enum {
        LIMITS_SESSION_TASKS = POLICY_SESSION_TASKS,
        LIMITS_IDS_PER_DEVICE = 4, /* session and worker, and their successors while both live */
        LIMITS_FDS_PER_DEVICE = 14, /* socket, disk, statistics, net namespace, held connection, control, reports,
                                       fence, pidfds, some to spare */
        LIMITS_FDS_BASE = 64,
};

/*
 * Raises this process's soft limits to what n devices need. A hard limit that is too low is logged with the number
 * that is needed, and -EMFILE returned; -ENOMEM for locked memory where Engine=uring insists on it.
 */
int limits_raise(const struct config *config, const struct log *log);

/* The most tasks that a worker of the device may be: its threads, its pool's, and the kernel's for its rings. */
unsigned limits_worker_tasks(const struct device_config *config);
