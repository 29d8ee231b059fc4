/*
 * The compiled filters, run in an interpreter as the kernel does to fill its bitmap of calls that need no filter run:
 * with the number of the call and the architecture alone.
 */
#include "array.h"
#include "policy.h"

#include <check.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 1024, STEPS_MOST = 4096, X32 = 0x40000000 };

enum verdict { ALLOWED, KILLED, BY_ARGUMENT };

static bool jumps(const struct sock_filter *op, uint32_t a)
{
        switch (BPF_OP(op->code)) {
        case BPF_JEQ:
                return a == op->k;
        case BPF_JGT:
                return a > op->k;
        case BPF_JGE:
                return a >= op->k;
        case BPF_JSET:
                return a & op->k;
        default:
                ck_abort_msg("jump %#x", op->code);
        }
        return false;
}

static enum verdict verdict_of(const struct policy_filter *filter, uint32_t arch, uint32_t number)
{
        uint32_t a = 0;
        unsigned at = 0;

        for (unsigned steps = 0; steps < STEPS_MOST; steps++) {
                const struct sock_filter *op = &filter->code[at++];

                if (at > filter->n) /* no assertion: libcheck makes a note of each */
                        ck_abort_msg("%s: beyond its end", filter->name);
                switch (BPF_CLASS(op->code)) {
                case BPF_LD:
                        if (op->k != offsetof(struct seccomp_data, nr) && op->k != offsetof(struct seccomp_data, arch))
                                return BY_ARGUMENT;
                        a = op->k == offsetof(struct seccomp_data, nr) ? number : arch;
                        break;
                case BPF_JMP:
                        if (BPF_OP(op->code) == BPF_JA)
                                at += op->k;
                        else
                                at += jumps(op, a) ? op->jt : op->jf;
                        break;
                case BPF_RET:
                        if (op->k != SECCOMP_RET_ALLOW && op->k != SECCOMP_RET_KILL_PROCESS)
                                ck_abort_msg("%s: verdict %#x", filter->name, op->k);
                        return op->k == SECCOMP_RET_ALLOW ? ALLOWED : KILLED;
                default:
                        ck_abort_msg("%s: instruction %#x", filter->name, op->code);
                }
        }
        ck_abort_msg("%s does not end", filter->name);
        return KILLED;
}

/* Children inherit the broker's filter, so there every hot call must pass; elsewhere those that pass at all. */
START_TEST(hot_calls_load_no_argument)
{
        unsigned seen = 0;

        for (size_t f = 0; f < policy_n_filters; f++)
                for (const char *const *hot = policy_hot; *hot; hot++) {
                        int number = seccomp_syscall_resolve_name(*hot);
                        enum verdict verdict;

                        ck_assert_msg(number >= 0, "%s", *hot);
                        verdict = verdict_of(&policy_filters[f], AUDIT_ARCH_X86_64, (uint32_t) number);
                        ck_assert_msg(verdict != BY_ARGUMENT, "%s: %s has its arguments checked",
                                      policy_filters[f].name, *hot);
                        if (policy_filters[f].program == POLICY_BROKER)
                                ck_assert_msg(verdict == ALLOWED, "%s: %s", policy_filters[f].name, *hot);
                        seen += verdict == ALLOWED;
                }
        ck_assert_uint_gt(seen, 0);
}
END_TEST

START_TEST(as_many_calls_pass_as_published)
{
        for (size_t f = 0; f < policy_n_filters; f++) {
                unsigned passing = 0;

                for (uint32_t number = 0; number < NUMBERS; number++)
                        passing += verdict_of(&policy_filters[f], AUDIT_ARCH_X86_64, number) != KILLED;
                ck_assert_msg(passing == policy_filters[f].calls, "%s: %u calls, %u published", policy_filters[f].name,
                              passing, policy_filters[f].calls);
        }
}
END_TEST

START_TEST(no_other_entry_passes)
{
        for (size_t f = 0; f < policy_n_filters; f++) {
                unsigned passing = 0;

                for (uint32_t number = 0; number < NUMBERS; number++) {
                        passing += verdict_of(&policy_filters[f], AUDIT_ARCH_X86_64, number | X32) != KILLED;
                        passing += verdict_of(&policy_filters[f], AUDIT_ARCH_I386, number) != KILLED;
                }
                ck_assert_msg(passing == 0, "%s: %u", policy_filters[f].name, passing);
        }
}
END_TEST

static void check_unlimited(const struct policy_call *table)
{
        for (const struct policy_call *call = table; call && call->name; call++)
                for (const char *const *hot = policy_hot; *hot; hot++)
                        ck_assert_msg(strcmp(*hot, call->name) != 0 || !call->n, "%s is hot and limited", *hot);
}

static void check_explained(const struct policy_call *table)
{
        for (const struct policy_call *call = table; call && call->name; call++) {
                ck_assert_msg(call->who && call->who[0], "%s: who needs it?", call->name);
                ck_assert_msg(!call->n == !call->limit, "%s: what do its checks mean?", call->name);
        }
}

START_TEST(every_row_names_its_user_and_its_limit)
{
        for (size_t p = 0; p < policy_n_profiles; p++)
                for (size_t t = 0; t < ARRAY_SIZE(policy_profiles[p].calls); t++) {
                        check_unlimited(policy_profiles[p].calls[t]);
                        check_explained(policy_profiles[p].calls[t]);
                }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("hot");
        TCase *all = tcase_create("all");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(all, hot_calls_load_no_argument);
        tcase_add_test(all, as_many_calls_pass_as_published);
        tcase_add_test(all, no_other_entry_passes);
        tcase_add_test(all, every_row_names_its_user_and_its_limit);
        suite_add_tcase(suite, all);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
