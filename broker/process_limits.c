/*
 * Limits of the broker's own process. They are judged at start, with all numbers at hand, not when a guest connects.
 */
#include "process_limits.h"

#include <errno.h>
#include <sys/resource.h>

enum { RING_BYTES = 64 * 1024 }; /* locked by one io_uring of ours, rounded up */

static int raise_to(int resource, rlim_t need, rlim_t *ret_hard)
{
        struct rlimit limit;

        if (getrlimit(resource, &limit) < 0)
                return -errno;
        *ret_hard = limit.rlim_max;
        if (limit.rlim_max < need)
                return -ERANGE;
        if (limit.rlim_cur >= need)
                return 0;
        limit.rlim_cur = need;
        return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static int raise_nofile(const struct config *config, const struct log *log)
{
        rlim_t need = LIMITS_FDS_BASE + (rlim_t) LIMITS_FDS_PER_DEVICE * config->n, hard = 0;
        int r = raise_to(RLIMIT_NOFILE, need, &hard);

        if (r < 0)
                log_error(log, "open files: %u devices need a hard limit of %lu, it is %lu (LimitNOFILE=): EMFILE",
                          config->n, (unsigned long) need, (unsigned long) hard);
        return r < 0 ? -EMFILE : 0;
}

static int raise_memlock(const struct config *config, const struct log *log)
{
        for (unsigned i = 0; i < config->n; i++) {
                const struct device_config *device = &config->device[i];
                rlim_t need = (rlim_t) RING_BYTES * device->worker.threads, hard = 0;

                if (device->block.engine != IPC_ENGINE_URING || raise_to(RLIMIT_MEMLOCK, need, &hard) == 0)
                        continue;
                log_error(log, "%s: locked memory: Engine=uring needs a hard limit of %lu bytes, it is %lu "
                          "(LimitMEMLOCK=): ENOMEM", device->name, (unsigned long) need, (unsigned long) hard);
                return -ENOMEM;
        }
        return 0;
}

int limits_raise(const struct config *config, const struct log *log)
{
        int r = raise_nofile(config, log);

        return r < 0 ? r : raise_memlock(config, log);
}

unsigned limits_worker_tasks(const struct device_config *config)
{
        return (unsigned) policy_count_of(policy_process_worker.nproc, config->type->queues_max,
                                          config->worker.threads);
}
