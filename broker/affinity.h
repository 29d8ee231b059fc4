/*
 * CPUAffinity= against the processors that there are.
 */
#pragma once

#include "config.h"
#include "log.h"

/*
 * May a worker of each device run where its CPUAffinity= says? A device of which none can is logged, then -EINVAL: it
 * would fail at its first connection only. Leaves the caller's own affinity as it was; -errno.
 */
int affinity_check(const struct config *config, const struct log *log);
