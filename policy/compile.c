/*
 * Build-time tool: turns the tables of this room into seccomp filters, as a C source on standard output.
 *
 *   compile broker|session|worker
 *
 * It is the only code of the room. It trusts the tables, but refuses names that libseccomp does not know.
 */
#include "policy.h"

#include "array.h"

#include <err.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TABLES = ARRAY_SIZE(((struct policy_profile *) 0)->calls), NUMBERS = 1024 };

static const char *const programs[] = { [POLICY_BROKER] = "broker", [POLICY_SESSION] = "session",
                                        [POLICY_WORKER] = "worker" };

/* A filter in the making. */
struct draft {
        const char *name;
        scmp_filter_ctx filter;
        bool seen[NUMBERS], unlimited[NUMBERS];
        unsigned calls;
};

static int call_number(const char *name)
{
        int nr = seccomp_syscall_resolve_name(name);

        if (nr < 0 || nr >= NUMBERS)
                errx(1, "policy: no system call of this machine is named '%s'", name);
        return nr;
}

static void allow(struct draft *draft, const struct policy_call *call, bool limited)
{
        unsigned n = limited ? call->n : 0;
        struct scmp_arg_cmp checks[POLICY_ARGUMENTS];
        int nr = call_number(call->name);
        int r;

        if (draft->seen[nr] && draft->unlimited[nr])
                return;
        for (unsigned i = 0; i < n; i++)
                checks[i] = SCMP_CMP64(call->argument[i].index, SCMP_CMP_MASKED_EQ, call->argument[i].mask,
                                       call->argument[i].value);
        r = seccomp_rule_add_array(draft->filter, SCMP_ACT_ALLOW, nr, n, checks);
        if (r < 0)
                errx(1, "policy: %s: %s: %s", draft->name, call->name, strerror(-r));
        draft->calls += !draft->seen[nr];
        draft->seen[nr] = true;
}

/* What some row allows without limits has no use for rows with limits. */
static void note_unlimited(struct draft *draft, const struct policy_call *table, bool limited)
{
        for (const struct policy_call *call = table; call && call->name; call++)
                if (!limited || !call->n)
                        draft->unlimited[call_number(call->name)] = true;
}

static void allow_table(struct draft *draft, const struct policy_call *table, bool limited)
{
        for (const struct policy_call *call = table; call && call->name; call++)
                allow(draft, call, limited && !draft->unlimited[call_number(call->name)]);
}

/* Applies a step to every table of a profile; to those of all profiles for the broker, whose children inherit. */
static void each_table(struct draft *draft, const struct policy_profile *profile,
                       void (*step)(struct draft *, const struct policy_call *, bool))
{
        bool limited = profile->program != POLICY_BROKER;

        for (size_t p = 0; p < policy_n_profiles; p++)
                for (unsigned i = 0; i < TABLES; i++)
                        if (!limited || &policy_profiles[p] == profile)
                                step(draft, policy_profiles[p].calls[i], limited);
        step(draft, policy_sanitizer, limited);
}

/* Writes the instructions as an array; returns their number. */
static size_t print_code(scmp_filter_ctx filter, const char *name)
{
        int file = memfd_create("filter", MFD_CLOEXEC);
        off_t bytes;
        struct sock_filter *code;

        if (file < 0 || seccomp_export_bpf(filter, file) < 0)
                err(1, "policy: %s: export", name);
        bytes = lseek(file, 0, SEEK_END);
        code = mmap(NULL, (size_t) bytes, PROT_READ, MAP_PRIVATE, file, 0);
        if (code == MAP_FAILED)
                err(1, "policy: %s: map", name);
        printf("static const struct sock_filter %s[] = {\n", name);
        for (size_t i = 0; i < (size_t) bytes / sizeof(*code); i++)
                printf("        { 0x%02x, %u, %u, 0x%08x },\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
        printf("};\n\n");
        munmap(code, (size_t) bytes);
        close(file);
        return (size_t) bytes / sizeof(*code);
}

static unsigned compile(const struct policy_profile *profile)
{
        static struct draft draft;

        draft = (struct draft){ .name = profile->name, .filter = seccomp_init(SCMP_ACT_KILL_PROCESS) };
        if (!draft.filter || seccomp_attr_set(draft.filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0)
                errx(1, "policy: %s: no filter", profile->name);
        each_table(&draft, profile, note_unlimited);
        each_table(&draft, profile, allow_table);
        print_code(draft.filter, profile->name);
        seccomp_release(draft.filter);
        return draft.calls;
}

static enum policy_program program_of(const char *name)
{
        for (unsigned i = 0; name && i < ARRAY_SIZE(programs); i++)
                if (strcmp(name, programs[i]) == 0)
                        return (enum policy_program) i;
        errx(2, "usage: compile broker|session|worker");
}

int main(int argc, char **argv)
{
        enum policy_program program = program_of(argc == 2 ? argv[1] : NULL);
        unsigned calls[64];

        printf("/* Made by policy/compile from the tables of policy/. */\n#include \"policy.h\"\n\n");
        for (size_t i = 0; i < policy_n_profiles && i < ARRAY_SIZE(calls); i++)
                if (policy_profiles[i].program == program)
                        calls[i] = compile(&policy_profiles[i]);
        printf("const struct policy_filter policy_filters[] = {\n");
        for (size_t i = 0; i < policy_n_profiles && i < ARRAY_SIZE(calls); i++) {
                const struct policy_profile *p = &policy_profiles[i];

                if (p->program == program)
                        printf("        { \"%s\", %d, %d, %u, %u, %u, sizeof(%s) / sizeof(%s[0]), %s },\n", p->name,
                               (int) p->program, (int) p->stage, p->device, p->engine, calls[i], p->name, p->name,
                               p->name);
        }
        printf("};\nconst size_t policy_n_filters = sizeof(policy_filters) / sizeof(policy_filters[0]);\n");
        return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
