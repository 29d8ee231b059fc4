/*
 * Build-time tool: turns the tables of this room into seccomp filters, as a C source on standard output.
 *
 *   compile broker|session|worker|all|sizes
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

/* The instructions and their number; never released. */
static const struct sock_filter *export_code(const struct draft *draft, size_t *ret_n)
{
        int file = memfd_create("filter", MFD_CLOEXEC);
        off_t bytes;
        void *code;

        if (file < 0 || seccomp_export_bpf(draft->filter, file) < 0)
                err(1, "policy: %s: export", draft->name);
        bytes = lseek(file, 0, SEEK_END);
        code = mmap(NULL, (size_t) bytes, PROT_READ, MAP_PRIVATE, file, 0);
        if (code == MAP_FAILED)
                err(1, "policy: %s: map", draft->name);
        close(file);
        *ret_n = (size_t) bytes / sizeof(struct sock_filter);
        return code;
}

static void print_code(const struct draft *draft)
{
        size_t n;
        const struct sock_filter *code = export_code(draft, &n);

        printf("static const struct sock_filter %s[] = {\n", draft->name);
        for (size_t i = 0; i < n; i++)
                printf("        { 0x%02x, %u, %u, 0x%08x },\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
        printf("};\n\n");
}

static void compile(const struct policy_profile *profile, struct draft *ret_draft)
{
        *ret_draft = (struct draft){ .name = profile->name, .filter = seccomp_init(SCMP_ACT_KILL_PROCESS) };
        if (!ret_draft->filter ||
            seccomp_attr_set(ret_draft->filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0)
                errx(1, "policy: %s: no filter", profile->name);
        each_table(ret_draft, profile, note_unlimited);
        each_table(ret_draft, profile, allow_table);
}

static void print_sizes(const struct draft *drafts)
{
        size_t n;

        printf("const struct policy_size policy_sizes[] = {\n");
        for (size_t i = 0; i < policy_n_profiles; i++) {
                export_code(&drafts[i], &n);
                printf("        { %u, %zu }, /* %s */\n", drafts[i].calls, n, drafts[i].name);
        }
        printf("};\n");
}

static bool is_of(const struct policy_profile *profile, const char *program)
{
        return strcmp(program, "all") == 0 || strcmp(program, programs[profile->program]) == 0;
}

static void print_filters(const struct draft *drafts, const char *program)
{
        for (size_t i = 0; i < policy_n_profiles; i++)
                if (is_of(&policy_profiles[i], program))
                        print_code(&drafts[i]);
        printf("const struct policy_filter policy_filters[] = {\n");
        for (size_t i = 0; i < policy_n_profiles; i++) {
                const struct policy_profile *p = &policy_profiles[i];

                if (is_of(p, program))
                        printf("        { \"%s\", %d, %d, %u, %u, %d, %u, sizeof(%s) / sizeof(%s[0]), %s },\n", p->name,
                               (int) p->program, (int) p->stage, p->device, p->engine, p->postcopy, drafts[i].calls, p->name,
                               p->name, p->name);
        }
        printf("};\nconst size_t policy_n_filters = sizeof(policy_filters) / sizeof(policy_filters[0]);\n");
}

int main(int argc, char **argv)
{
        struct draft *drafts = calloc(policy_n_profiles, sizeof(*drafts));

        if (!drafts || argc != 2)
                errx(2, "usage: compile broker|session|worker|all|sizes");
        for (size_t i = 0; i < policy_n_profiles; i++)
                compile(&policy_profiles[i], &drafts[i]);
        printf("/* Made by policy/compile from the tables of policy/. */\n#include \"policy.h\"\n\n");
        if (strcmp(argv[1], "sizes") == 0)
                print_sizes(drafts);
        else
                print_filters(drafts, argv[1]);
        return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
