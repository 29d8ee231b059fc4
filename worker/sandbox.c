/*
 * The order of confinement. Each step is complete or the worker does not start.
 */
#include "sandbox.h"

#include "confine.h"
#include "policy.h"

#include <errno.h>

/* A layer that the kernel has not got is an error unless the operator allows it to be missing. */
static int judge_layer(int error, enum ipc_layer layer, const struct ipc_device *device, uint32_t *lacks)
{
        if (error != -ENOSYS || !(device->may_lack & layer))
                return error;
        *lacks |= layer;
        return 0;
}

static const struct policy_filter *filter_of(enum policy_stage stage, const struct ipc_device *device,
                                             uint32_t engine)
{
        for (size_t i = 0; i < policy_n_filters; i++) {
                const struct policy_filter *f = &policy_filters[i];

                if (f->program == POLICY_WORKER && f->stage == stage && f->postcopy == device->postcopy &&
                    (!f->device || f->device == device->device) && (!f->engine || f->engine == engine))
                        return f;
        }
        return NULL;
}

static int filter_load(enum policy_stage stage, const struct ipc_device *device, uint32_t engine)
{
        const struct policy_filter *f = filter_of(stage, device, engine);

        return f ? confine_filter(f->code, f->n) : -ENOENT;
}

static int failed(const struct log *log, const char *step, int error)
{
        log_error(log, "sandbox: %s: %s", step, log_errno(error));
        return error;
}

int sandbox_enter(const struct ipc_device *device, const struct log *log, uint32_t *ret_lacks)
{
        uint32_t lacks = device->lacks;
        int r;

        r = confine_self();
        if (r < 0)
                return failed(log, "no_new_privs, dumpable", r);
        r = judge_layer(confine_mdwe(), IPC_LAYER_MDWE, device, &lacks);
        if (r < 0)
                return failed(log, "memory-deny-write-execute", r);
        r = judge_layer(confine_landlock(), IPC_LAYER_LANDLOCK, device, &lacks);
        if (r < 0)
                return failed(log, "landlock", r);
        r = filter_load(POLICY_SETUP, device, 0);
        if (r < 0)
                return failed(log, "setup filter", r);
        *ret_lacks = lacks;
        return 0;
}

int sandbox_narrow(const struct ipc_device *device, uint32_t engine, const struct log *log)
{
        int r = filter_load(POLICY_RUN, device, engine);

        return r < 0 ? failed(log, "run filter", r) : 0;
}
