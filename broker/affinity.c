/*
 * CPUAffinity= against the processors that there are.
 */
#include "affinity.h"

#include <errno.h>
#include <sched.h>

int affinity_check(const struct device_config *config, const struct log *log)
{
        cpu_set_t own;
        int r = 0;

        if (!config->worker.pinned)
                return 0;
        /* Only the kernel knows of offline processors and of the bounds of our cpuset: so ask for it. */
        if (sched_getaffinity(0, sizeof(own), &own) < 0 ||
            sched_setaffinity(0, sizeof(cpu_set_t), &config->worker.cpus) < 0)
                r = -errno;
        else if (sched_setaffinity(0, sizeof(own), &own) < 0)
                r = -errno;
        if (r < 0)
                log_error(log, "%s: CPUAffinity=: a worker can't run there: %s", config->where[CONFIG_CPU_AFFINITY],
                          log_errno(r));
        return r;
}
