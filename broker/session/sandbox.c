/*
 * Confinement of the session. It has no setup filter: all it needs is there before it reads a byte, so the run filter
 * follows at once.
 */
#include "sandbox.h"

#include "confine.h"
#include "policy.h"

#include <errno.h>

/* A layer may be missing only if the kernel has none of it and the operator allows that. */
static int judge(int r, uint32_t layer, uint32_t may_lack, uint32_t *lacks)
{
        if (r != -ENOSYS || !(may_lack & layer))
                return r;
        *lacks |= layer;
        return 0;
}

static int enter_filter(void)
{
        for (size_t i = 0; i < policy_n_filters; i++) {
                const struct policy_filter *filter = &policy_filters[i];

                if (filter->program == POLICY_SESSION && filter->stage == POLICY_RUN)
                        return confine_filter(filter->code, filter->n);
        }
        return -ENOENT;
}

int sandbox_enter(uint32_t may_lack, uint32_t *ret_lacks, int *ret_error)
{
        uint32_t lacks = 0;

        *ret_error = confine_self();
        if (*ret_error < 0)
                return SESSION_NO_CONFINEMENT;
        *ret_error = judge(confine_mdwe(), IPC_LAYER_MDWE, may_lack, &lacks);
        if (*ret_error < 0)
                return SESSION_NO_MDWE;
        *ret_error = judge(confine_landlock(), IPC_LAYER_LANDLOCK, may_lack, &lacks);
        if (*ret_error < 0)
                return SESSION_NO_LANDLOCK;
        *ret_error = enter_filter();
        if (*ret_error < 0)
                return SESSION_NO_FILTER;
        *ret_lacks = lacks;
        return 0;
}
