/*
 * --print-policy: the tables of policy/ as text, one line per allowed call. tests/sandbox/policy/ keeps a copy.
 */
#include "policy_print.h"

#include "array.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { TABLES = ARRAY_SIZE(((struct policy_profile *) 0)->calls) };

static const char *const programs[] = { [POLICY_BROKER] = "vhost-broker, once it runs, and what it forks",
                                        [POLICY_SESSION] = "vhost-session, as long as it reads its front-end",
                                        [POLICY_WORKER] = "vhost-worker" };
static const char *const engines[] = { [IPC_ENGINE_URING] = "uring", [IPC_ENGINE_SYNC] = "sync",
                                       [IPC_ENGINE_NULL] = "null" };

static bool is_hot(const char *name)
{
        for (const char *const *hot = policy_hot; *hot; hot++)
                if (strcmp(*hot, name) == 0)
                        return true;
        return false;
}

static void print_call(FILE *out, const struct policy_call *call, bool limited)
{
        fprintf(out, "  %-23s %-4s  %s\n", call->name, is_hot(call->name) ? "hot" : "", call->who);
        if (!limited || !call->n)
                return;
        fprintf(out, "  %30s  only %s:", "", call->limit ? call->limit : "");
        for (unsigned i = 0; i < call->n; i++)
                fprintf(out, "%s argument %u & %#llx == %#llx", i ? "," : "", call->argument[i].index,
                        (unsigned long long) call->argument[i].mask, (unsigned long long) call->argument[i].value);
        fprintf(out, "\n");
}

static void print_place(FILE *out, const struct policy_profile *profile)
{
        fprintf(out, "  %s", programs[profile->program]);
        if (profile->program == POLICY_WORKER && profile->stage == POLICY_SETUP)
                fprintf(out, ", until it has said READY");
        for (size_t i = 0; i < policy_n_devices; i++)
                if (policy_devices[i]->id == profile->device)
                        fprintf(out, " of a %s device, once it serves", policy_devices[i]->type);
        if (profile->postcopy)
                fprintf(out, ", with Postcopy=yes");
        if (profile->engine)
                fprintf(out, ", engine %s", engines[profile->engine]);
        if (profile->program == POLICY_BROKER)
                fprintf(out, "; with all that its children may call, for they inherit this filter");
        fprintf(out, "\n");
}

static void print_profile(FILE *out, size_t i)
{
        const struct policy_profile *profile = &policy_profiles[i];

        fprintf(out, "%s: %u calls; %u instructions of BPF; any other call kills the process\n", profile->name,
                policy_sizes[i].calls, policy_sizes[i].instructions);
        print_place(out, profile);
        for (unsigned t = 0; t < TABLES; t++)
                for (const struct policy_call *call = profile->calls[t]; call && call->name; call++)
                        print_call(out, call, profile->program != POLICY_BROKER);
        fprintf(out, "\n");
}

static bool applies(const struct policy_profile *profile, const struct policy_device *type, enum ipc_engine engine,
                    bool postcopy)
{
        if (!type)
                return true;
        if (profile->program == POLICY_WORKER && profile->postcopy != postcopy)
                return false;
        return profile->program != POLICY_BROKER && (!profile->device || profile->device == type->id) &&
               (!profile->engine || engine == IPC_ENGINE_AUTO || profile->engine == engine);
}

int policy_print(FILE *out, const struct policy_device *type, enum ipc_engine engine, bool postcopy)
{
        for (size_t i = 0; i < policy_n_profiles; i++)
                if (applies(&policy_profiles[i], type, engine, postcopy))
                        print_profile(out, i);
        return fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}
