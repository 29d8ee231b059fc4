/*
 * --print-policy: the tables of policy/ as text, one line per allowed call.
 */
#include "policy_print.h"

#include "array.h"
#include "config.h"
#include "policy.h"

#include <errno.h>
#include <string.h>

enum { CALLS_MOST = 128, TABLES = ARRAY_SIZE(((struct policy_profile *) 0)->calls) };

struct printed {
        const char *name[CALLS_MOST];
        unsigned n;
};

static bool is_new(struct printed *printed, const char *name)
{
        for (unsigned i = 0; i < printed->n; i++)
                if (strcmp(printed->name[i], name) == 0)
                        return false;
        if (printed->n < CALLS_MOST)
                printed->name[printed->n++] = name;
        return true;
}

static unsigned count_calls(const struct policy_profile *profile)
{
        struct printed printed = { 0 };

        for (unsigned i = 0; i < TABLES; i++)
                for (const struct policy_call *call = profile->calls[i]; call && call->name; call++)
                        is_new(&printed, call->name);
        return printed.n;
}

static void print_call(FILE *out, const struct policy_call *call)
{
        fprintf(out, "  %-18s", call->name);
        for (unsigned i = 0; i < call->n; i++)
                fprintf(out, " arg%u&%#llx==%#llx", call->argument[i].index, (unsigned long long) call->argument[i].mask,
                        (unsigned long long) call->argument[i].value);
        fprintf(out, "  # %s\n", call->who);
}

static void print_profile(FILE *out, const struct policy_profile *profile)
{
        fprintf(out, "%s: %u calls; any other kills the process\n", profile->name, count_calls(profile));
        for (unsigned i = 0; i < TABLES; i++)
                for (const struct policy_call *call = profile->calls[i]; call && call->name; call++)
                        print_call(out, call);
}

int policy_print(FILE *out, const char *type)
{
        const struct policy_device *device = type ? config_type_of(type) : NULL;

        if (type && !device)
                return -EINVAL;
        for (size_t i = 0; i < policy_n_profiles; i++)
                if (!device || policy_profiles[i].device == 0 || policy_profiles[i].device == device->id)
                        print_profile(out, &policy_profiles[i]);
        return fflush(out) == 0 ? 0 : -EIO;
}
