/*
 * The broker's own system call filter, loaded when it has opened all it ever opens and holds no privilege any more.
 */
#include "own_filter.h"

#include "confine.h"
#include "policy.h"

#include <errno.h>

int own_filter_load(const struct log *log)
{
        int r = -ENOENT;

        for (size_t i = 0; i < policy_n_filters; i++)
                if (policy_filters[i].program == POLICY_BROKER)
                        r = confine_filter(policy_filters[i].code, policy_filters[i].n);
        if (r < 0)
                log_error(log, "the broker's own system call filter: %s", log_errno(r));
        return r;
}
