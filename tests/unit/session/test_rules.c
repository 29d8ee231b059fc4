/*
 * The gate: for every row, sizes, descriptors, negotiation and state; for every number, a row or a refusal.
 */
#include "rig.h"

#include "array.h"
#include "vu_rules.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* So many zeros as payload, so many descriptors. */
static void send_sized(struct rig *rig, uint32_t request, uint32_t size, unsigned n_fds)
{
        static const uint8_t zeros[VU_PAYLOAD_MAX];
        int fds[VU_FDS_ROOM] = { 0 };

        for (unsigned i = 0; i < n_fds; i++)
                fds[i] = rig_file(0);
        rig_send(rig, request, VU_VERSION | VU_FLAG_NEED_REPLY, zeros, size, fds, n_fds);
        for (unsigned i = 0; i < n_fds; i++)
                close(fds[i]);
}

/* A failure, said in the way of the row's answer, with this text in its line. */
static void expect_failure(struct rig *rig, const struct vu_rule *rule, uint32_t request, uint32_t size, unsigned n_fds,
                           const char *why)
{
        uint8_t reply[64];
        int length;

        rig->n_lines = 0;
        rig->s->log.limit = (struct log_limit){ 0 };
        send_sized(rig, request, size, n_fds);
        length = rig_reply(rig, request, reply, sizeof(reply), NULL);
        switch (rule ? rule->answer : VU_ACK) {
        case VU_ACK:
        case VU_U64:
        case VU_REPLY_OR_NACK:
                ck_assert_int_eq(length, 8);
                ck_assert_uint_eq(reply[0], 1);
                break;
        case VU_REPLY_OR_NO_FD:
                ck_assert_int_eq(length, 8);
                ck_assert(reply[0] == 1 && reply[1] == 1);
                break;
        case VU_REPLY:
                ck_assert_int_eq(length, -1);
                break;
        case VU_REPLY_OR_EMPTY:
                ck_assert_int_eq(length, 0);
                break;
        case VU_REPLY_OR_ZERO:
                ck_assert_int_ge(length, 20);
                for (int i = 0; i < length; i++)
                        ck_assert_uint_eq(reply[i], 0);
                break;
        }
        ck_assert_int_eq(rig->s->over, rule && rule->answer == VU_REPLY);
        ck_assert_msg(rig_logged(rig, why), "request %u: no '%s' but '%s'", request, why, rig->line[0]);
        if (rule)
                ck_assert_msg(rig_logged(rig, rule->name), "request %u", request);
}

static void with_rig(void (*body)(struct rig *rig, const struct vu_rule *rule, uint32_t request), uint64_t protocol)
{
        for (uint32_t request = 0; request < VU_REQUESTS + 4; request++) {
                const struct vu_rule *rule = vu_rule_of(request);
                struct rig rig;

                rig_init(&rig);
                rig_negotiate(&rig, protocol);
                body(&rig, rule, request);
                rig_done(&rig);
        }
}

/* Does the gate let it pass as far as its size? */
static bool is_negotiated(const struct rig *rig, const struct vu_rule *rule)
{
        return rule && (rule->needs == VU_ALWAYS || session_has(rig->s, (unsigned) rule->needs));
}

static void too_short(struct rig *rig, const struct vu_rule *rule, uint32_t request)
{
        if (is_negotiated(rig, rule) && rule->least)
                expect_failure(rig, rule, request, rule->least - 1, 0, "payload of");
}

static void too_long(struct rig *rig, const struct vu_rule *rule, uint32_t request)
{
        if (is_negotiated(rig, rule) && rule->most < VU_PAYLOAD_MAX)
                expect_failure(rig, rule, request, rule->most + 1u, 0, "payload of");
}

static void too_many_fds(struct rig *rig, const struct vu_rule *rule, uint32_t request)
{
        if (is_negotiated(rig, rule))
                expect_failure(rig, rule, request, rule->least, rule->fds + 1u, "descriptors: EBADMSG");
}

static void not_negotiated(struct rig *rig, const struct vu_rule *rule, uint32_t request)
{
        if (rule && rule->needs != VU_ALWAYS)
                expect_failure(rig, rule, request, rule->least, 0, "not negotiated: EPROTO");
}

static void unknown(struct rig *rig, const struct vu_rule *rule, uint32_t request)
{
        if (!rule)
                expect_failure(rig, rule, request, 8, 3, "unknown message: EOPNOTSUPP");
}

static void when_running(struct rig *rig, const struct vu_rule *rule, uint32_t request)
{
        if (!rule || rule->when & VU_RUNNING)
                return;
        rig_memory(rig);
        rig_start(rig, 0);
        expect_failure(rig, rule, request, rule->least, 0, "a vring is started: EBUSY");
}

START_TEST(refuses_short_payloads)
{
        with_rig(too_short, RIG_PROTOCOL);
}
END_TEST

START_TEST(refuses_long_payloads)
{
        with_rig(too_long, RIG_PROTOCOL);
}
END_TEST

START_TEST(refuses_descriptors)
{
        with_rig(too_many_fds, RIG_PROTOCOL);
}
END_TEST

START_TEST(refuses_what_was_not_negotiated)
{
        with_rig(not_negotiated, 1 << VU_PF_REPLY_ACK);
}
END_TEST

START_TEST(refuses_unknown_numbers)
{
        struct rig rig;

        with_rig(unknown, 1 << VU_PF_REPLY_ACK);
        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        expect_failure(&rig, NULL, UINT32_MAX, 0, 0, "message 4294967295: unknown message: EOPNOTSUPP");
        rig_done(&rig);
}
END_TEST

START_TEST(refuses_the_wrong_time)
{
        with_rig(when_running, RIG_PROTOCOL);
}
END_TEST

START_TEST(closes_when_no_answer_is_due)
{
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_send(&rig, 99, VU_VERSION, NULL, 0, NULL, 0);
        ck_assert(rig.s->over);
        ck_assert_int_eq(rig.s->end, SESSION_FRONT_END_FAILED);
        ck_assert_uint_eq(rig.n_lines, 1);
        ck_assert_str_eq(rig.line[0], "message 99: unknown message: EOPNOTSUPP; connection closed");
        rig_done(&rig);
}
END_TEST

START_TEST(closes_without_reply_ack)
{
        uint64_t word = 200;
        struct rig rig;

        rig_init(&rig);
        rig_send(&rig, VU_SET_VRING_ERR, VU_VERSION | VU_FLAG_NEED_REPLY, &word, 8, NULL, 0);
        ck_assert(rig.s->over);
        rig_done(&rig);
}
END_TEST

START_TEST(always_answers_what_is_always_answered)
{
        struct rig rig;
        char iotlb[32] = { 0 };
        uint64_t value;

        rig_init(&rig); /* nothing negotiated, nothing asked for */
        rig_send(&rig, VU_IOTLB_MSG, VU_VERSION, iotlb, sizeof(iotlb), NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_IOTLB_MSG, &value, sizeof(value), NULL), 8);
        ck_assert_uint_eq(value, 1);
        rig_send(&rig, VU_POSTCOPY_END, VU_VERSION, NULL, 0, NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_POSTCOPY_END, &value, sizeof(value), NULL), 8);
        ck_assert_uint_eq(value, 1);
        ck_assert(!rig.s->over);
        rig_done(&rig);
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = {
                &refuses_short_payloads,  &refuses_long_payloads,    &refuses_descriptors,
                &refuses_what_was_not_negotiated, &refuses_unknown_numbers, &refuses_the_wrong_time,
                &closes_when_no_answer_is_due, &closes_without_reply_ack, &always_answers_what_is_always_answered,
        };

        return rig_main("vu_rules", tests, ARRAY_SIZE(tests));
}
