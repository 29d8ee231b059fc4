/*
 * The packet table: every row accepts exactly its own size, fds, way and stage, and once means once.
 */
#include "ipc.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

static int judge(const struct ipc_rule *rule, unsigned type, unsigned length, unsigned fds, unsigned way,
                 enum ipc_stage stage)
{
        struct ipc_peer peer = { .way = (uint8_t) way, .stage = stage };
        struct packet packet = { .header = { .type = (uint16_t) type, .length = (uint16_t) length }, .n_fds = fds };

        (void) rule;
        return ipc_check(&peer, &packet);
}

static enum ipc_stage stage_of(const struct ipc_rule *rule)
{
        return rule->stages & IPC_UP ? IPC_UP : IPC_NEW;
}

START_TEST(each_row_accepts_itself_only)
{
        for (unsigned type = 1; type < IPC_TYPES; type++) {
                const struct ipc_rule *rule = ipc_rule_of(type);
                enum ipc_stage stage;

                ck_assert_ptr_nonnull(rule);
                stage = stage_of(rule);
                ck_assert_int_eq(judge(rule, type, rule->most, rule->most_fds, rule->way, stage), 0);
                ck_assert_int_eq(judge(rule, type, rule->least, rule->least_fds, rule->way, stage), 0);
                ck_assert_int_eq(judge(rule, type, rule->most + 1U, rule->most_fds, rule->way, stage), -EBADMSG);
                if (rule->least)
                        ck_assert_int_eq(judge(rule, type, rule->least - 1U, rule->most_fds, rule->way, stage),
                                         -EBADMSG);
                ck_assert_int_eq(judge(rule, type, rule->most, rule->most_fds + 1U, rule->way, stage), -EBADMSG);
                if (rule->least_fds)
                        ck_assert_int_eq(judge(rule, type, rule->most, rule->least_fds - 1U, rule->way, stage),
                                         -EBADMSG);
                ck_assert_int_eq(judge(rule, type, rule->most, rule->most_fds, ~rule->way & 0x1f, stage), -EPROTO);
                if (rule->stages != (IPC_NEW | IPC_UP))
                        ck_assert_int_eq(judge(rule, type, rule->most, rule->most_fds, rule->way,
                                               stage == IPC_UP ? IPC_NEW : IPC_UP), -EBUSY);
        }
}
END_TEST

START_TEST(fits_a_packet)
{
        for (unsigned type = 1; type < IPC_TYPES; type++) {
                ck_assert_uint_le(ipc_rule_of(type)->most, PACKET_BODY_MAX);
                ck_assert_uint_le(ipc_rule_of(type)->most_fds, PACKET_FDS_MAX);
        }
}
END_TEST

START_TEST(unknown_types_are_refused)
{
        const unsigned unknown[] = { 0, IPC_TYPES, IPC_TYPES + 1, 255, 65535 };

        for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
                ck_assert_ptr_null(ipc_rule_of(unknown[i]));
                ck_assert_int_eq(judge(NULL, unknown[i], 0, 0, 0x1f, IPC_UP), -EPROTO);
        }
}
END_TEST

START_TEST(once_is_once)
{
        for (unsigned type = 1; type < IPC_TYPES; type++) {
                const struct ipc_rule *rule = ipc_rule_of(type);
                struct ipc_peer peer = { .way = rule->way, .stage = stage_of(rule) };
                struct packet packet = { .header = { .type = (uint16_t) type, .length = rule->most },
                                         .n_fds = rule->most_fds };

                ck_assert_int_eq(ipc_check(&peer, &packet), 0);
                ck_assert_int_eq(ipc_check(&peer, &packet), rule->once ? -EALREADY : 0);
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ipc");
        TCase *all = tcase_create("all");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(all, each_row_accepts_itself_only);
        tcase_add_test(all, fits_a_packet);
        tcase_add_test(all, unknown_types_are_refused);
        tcase_add_test(all, once_is_once);
        suite_add_tcase(suite, all);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
