/*
 * The published policy: "NAME: N calls; ...", whose it is, and below that a line per way to make a call, with its limits
 * on another one.
 */
#include "published.h"

#include <check.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_INDENT = 8 };

/* "only F_SETFL: argument 1 & 0xffffffff == 0x4, argument 2 & ..." */
static void add_limits(struct published_call *call, const char *limits)
{
        uint64_t *arguments = call->way[call->n];
        unsigned found = 0;

        for (unsigned i = 0; i < 6; i++)
                arguments[i] = UINT64_MAX;
        for (const char *at = limits; (at = strstr(at, "argument ")); at++, found++) {
                unsigned long long mask, value;
                unsigned index;

                ck_assert_msg(sscanf(at, "argument %u & %llx == %llx", &index, &mask, &value) == 3 && index < 6, "'%s'",
                              limits);
                arguments[index] = (arguments[index] & ~mask) | value;
        }
        ck_assert_msg(found, "'%s'", limits);
        call->freely = false;
        call->n++;
        ck_assert_uint_lt(call->n, PUBLISHED_WAYS);
}

/* "  CALL  [hot]  USER"; a line of limits may follow. */
static struct published_call *add_call(struct published *published, const char *line)
{
        struct published_call *call;
        char name[64];
        int number;

        ck_assert_msg(sscanf(line, " %63s", name) == 1, "'%s'", line);
        number = seccomp_syscall_resolve_name(name);
        ck_assert_msg(number >= 0 && number < PUBLISHED_NUMBERS, "%s", name);
        call = &published->call[number];
        call->allowed = true;
        call->freely = call->n == 0;
        return call;
}

void published_read(const char *profile, struct published *ret_published)
{
        enum { OUTSIDE, HEADLINE, CALLS } at = OUTSIDE;
        struct published_call *last = NULL;
        char command[500], line[500];
        size_t n = strlen(profile);
        FILE *output;

        ck_assert(getenv("VHOST_BROKER") != NULL);
        snprintf(command, sizeof(command), "'%s' --print-policy", getenv("VHOST_BROKER"));
        output = popen(command, "re");
        ck_assert(output != NULL);
        memset(ret_published, 0, sizeof(*ret_published));
        while (fgets(line, sizeof(line), output)) {
                if (!strncmp(line, profile, n) && sscanf(line + n, ": %u calls", &ret_published->calls) == 1)
                        at = HEADLINE;
                else if (line[0] != ' ')
                        at = OUTSIDE;
                else if (at == HEADLINE) /* says what process this is */
                        at = CALLS;
                else if (at == CALLS && strspn(line, " ") >= LIMIT_INDENT)
                        add_limits(last, line);
                else if (at == CALLS)
                        last = add_call(ret_published, line);
        }
        ck_assert_int_eq(pclose(output), 0);
        ck_assert_msg(ret_published->calls > 0, "%s is not published", profile);
}
