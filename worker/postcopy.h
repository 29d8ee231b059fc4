/*
 * Migration by post-copy (vhost-user, "Postcopy live migration"): guest memory that has not arrived yet faults, and the
 * front-end, which holds the same userfaultfd, brings the page. Whoever touches it waits in the kernel meanwhile.
 */
#pragma once

#include "fd.h"
#include "ipc.h"
#include "log.h"

#include <stdbool.h>

struct worker;

struct postcopy {
        struct fd userfault; /* none: not configured, or over */
        bool listening;      /* regions that come are registered before anything touches them */
};

/* Makes this process's userfaultfd from /dev/userfaultfd, which it owns; before the run filter. -errno, logged. */
int postcopy_open(struct postcopy *postcopy, struct fd device, const struct log *log);

/*
 * One step of enum ipc_postcopy_step, but WHERE. -ENOTSUP: not configured; -EBUSY: not now; -errno of UFFDIO_REGISTER.
 * Loops are parked.
 */
int postcopy_step(struct worker *w, uint32_t step);

/* Is there memory that must not be touched yet? */
bool postcopy_waits(const struct worker *w);
