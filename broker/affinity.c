/*
 * CPUAffinity= against the processors that there are.
 */
#include "affinity.h"

#include <errno.h>
#include <sched.h>

int affinity_check(const struct config *config, const struct log *log)
{
        cpu_set_t own;
        int r = 0;

        if (sched_getaffinity(0, sizeof(own), &own) < 0)
                return -errno;
        for (unsigned i = 0; i < config->n; i++) {
                const struct device_config *device = &config->device[i];

                /* Only the kernel knows of offline processors and of the bounds of our cpuset: so ask for it. */
                if (!device->worker.pinned || sched_setaffinity(0, sizeof(cpu_set_t), &device->worker.cpus) == 0)
                        continue;
                r = -errno;
                log_error(log, "%s: CPUAffinity=: a worker can't run there: %s", device->where[CONFIG_CPU_AFFINITY],
                          log_errno(r));
        }
        return sched_setaffinity(0, sizeof(own), &own) < 0 ? -errno : r;
}
