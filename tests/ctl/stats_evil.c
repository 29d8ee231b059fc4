/*
 * A worker that was taken over writes nonsense where its statistics are, also while they are read: vhostctl says what
 * it claims, of that device alone, and the broker does not care.
 */
#include "attacker.h"
#include "run_ctl.h"

#include <stdio.h>
#include <string.h>

#define MOST "18446744073709551615"

enum { SCRIBBLE_MS = 300 };

static void let_scribble(struct attacker *a, uint64_t word)
{
        attacker_let(a, (struct evil_command){ .what = EVIL_STATS, .number = word, .argument = { SCRIBBLE_MS } });
}

static void look(const struct rig *rig, struct ctl_said *said)
{
        CTL(rig, said, "stats", "a");
        ctl_expect(said, 0);
        CTL(rig, said, "--json", "stats", "a");
        ctl_expect(said, 0);
        CTL(rig, said, "--json", "show", "a");
        ctl_expect(said, 0);
        CTL(rig, said, "show", "b");
        ctl_expect(said, 0);
        ck_assert(strstr(said->out, "acked_unknown") == NULL && strstr(said->out, "vring_1") == NULL);
        CTL(rig, said, "stats");
        ctl_expect(said, 0);
        ctl_expect_text(said, "\nb                    ");
        ck_assert(strstr(strstr(said->out, "\nb "), " 18446744073709551615 ") == NULL);
}

/* Of every ring that the device has, and of none that it has not. */
static void expect_claims(const struct ctl_said *said, uint64_t word)
{
        char line[100];

        snprintf(line, sizeof(line), "\nacked_features         0x%llx\n", (unsigned long long) word);
        if (word)
                ctl_expect_text(said, line);
        if (word == UINT64_MAX) {
                ctl_expect_text(said, "\nacked_unknown          0xfffffff0cfff819b\n");
                for (unsigned i = 0; i < 4; i++) {
                        snprintf(line, sizeof(line),
                                 "\nvring_%u                packed 65535, started, enabled, broken, ", i);
                        ctl_expect_text(said, line);
                }
                ctl_expect_text(said, ", drains, unknown 0xff800000, 4294967295 in flight\n");
        }
        ck_assert(strstr(said->out, "vring_4") == NULL);
}

START_TEST(nonsense_is_a_claim)
{
        static const uint64_t words[] = { 0, UINT64_MAX, UINT64_C(0x0a1b0a1b0a1b0a1b) };
        struct evil_answer answer;
        struct ctl_said said;
        long long end;

        attacker_prepare(false);
        RIG_WITH(rig, .engine = "sync", .neighbour = true, .set = { "worker.threads=2" });
        struct fe_device neighbour;
        struct drv_blk blk;
        struct attacker a = attacker_in_worker(&rig);

        OK(fe_device_start(rig.other_socket, NULL, &neighbour));
        blk = rig_blk(&neighbour, 0);
        let_scribble(&a, words[_i]);
        for (end = fe_deadline(SCRIBBLE_MS); fe_left_ms(end);) {
                uint8_t bytes[512];

                look(&rig, &said);
                OK(drv_blk_read(&blk, 0, bytes, sizeof(bytes)));
        }
        OK(fe_set_config(&a.conn, 0, &answer, sizeof(answer), 0)); /* it obeys again: what stands there now stays */
        CTL(&rig, &said, "stats", "a");
        ctl_expect(&said, 0);
        if (words[_i] == UINT64_MAX) { /* of two loops */
                ctl_expect_text(&said, "reads                  18446744073709551615\n");
                ctl_expect_text(&said,
                                "read_us_p99.9          1.0\n"); /* all that can be counted is in the first bucket */
        }
        CTL(&rig, &said, "stats");
        ctl_expect(&said, 0);
        if (words[_i] == UINT64_MAX) /* what is added up for a column wraps no more than the columns themselves */
                ctl_expect_text(&said, " " MOST " " MOST " " MOST " " MOST " " MOST " " MOST " " MOST " ");
        CTL(&rig, &said, "--json", "show", "a");
        ctl_expect(&said, 0);
        ctl_expect_json(&said);
        CTL(&rig, &said, "show", "a");
        ctl_expect(&said, 0);
        expect_claims(&said, words[_i]);
        CTL(&rig, &said, "show", "b");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "\nvring_0                split 128, started, enabled, 0 in flight\n");
        attacker_close(&a);
        drv_blk_done(&blk);
        OK(fe_device_stop(&neighbour));
        rig_check_alive(&rig); /* an honest worker goes on from there */
        look(&rig, &said);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ctl_stats_evil");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_loop_test(all, nonsense_is_a_claim, 0, 3);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
