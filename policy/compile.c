/*
 * Build-time tool: turns the tables of this room into seccomp filters, as a C source on standard output.
 *
 *   compile session|worker
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

enum { TABLES = ARRAY_SIZE(((struct policy_profile *) 0)->calls) + 1 };

static int call_number(const char *name)
{
        int nr = seccomp_syscall_resolve_name(name);

        if (nr < 0)
                errx(1, "policy: no system call is named '%s'", name);
        return nr;
}

static const struct policy_call *table_of(const struct policy_profile *profile, unsigned i)
{
        return i + 1 < TABLES ? profile->calls[i] : policy_sanitizer;
}

/* Is the call allowed by a row without limits? Then rows with limits say nothing new. */
static bool is_unlimited(const struct policy_profile *profile, const char *name)
{
        for (unsigned i = 0; i < TABLES; i++)
                for (const struct policy_call *call = table_of(profile, i); call && call->name; call++)
                        if (!call->n && strcmp(call->name, name) == 0)
                                return true;
        return false;
}

static void allow(scmp_filter_ctx filter, const struct policy_profile *profile, const struct policy_call *call)
{
        bool unlimited = is_unlimited(profile, call->name);
        unsigned n = unlimited ? 0 : call->n;
        struct scmp_arg_cmp checks[POLICY_ARGUMENTS];
        int r;

        for (unsigned i = 0; i < n; i++)
                checks[i] = SCMP_CMP64(call->argument[i].index, SCMP_CMP_MASKED_EQ, call->argument[i].mask,
                                       call->argument[i].value);
        r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call_number(call->name), n, checks);
        if (r < 0)
                errx(1, "policy: %s: %s: %s", profile->name, call->name, strerror(-r));
}

static unsigned fill(scmp_filter_ctx filter, const struct policy_profile *profile)
{
        bool seen[1024] = { 0 };
        unsigned calls = 0;

        for (unsigned i = 0; i < TABLES; i++)
                for (const struct policy_call *call = table_of(profile, i); call && call->name; call++) {
                        int nr = call_number(call->name);

                        if (nr >= (int) ARRAY_SIZE(seen))
                                errx(1, "policy: %s: number out of range", call->name);
                        if (!seen[nr] || !is_unlimited(profile, call->name))
                                allow(filter, profile, call);
                        calls += !seen[nr];
                        seen[nr] = true;
                }
        return calls;
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
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        unsigned calls;

        if (!filter || seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0)
                errx(1, "policy: %s: no filter", profile->name);
        calls = fill(filter, profile);
        print_code(filter, profile->name);
        seccomp_release(filter);
        return calls;
}

int main(int argc, char **argv)
{
        unsigned calls[64];
        enum policy_program program;

        if (argc != 2 || (strcmp(argv[1], "session") && strcmp(argv[1], "worker")))
                errx(2, "usage: compile session|worker");
        program = strcmp(argv[1], "session") ? POLICY_WORKER : POLICY_SESSION;
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
