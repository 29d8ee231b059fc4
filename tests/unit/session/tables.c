/*
 * Prints what the session does as its own tables and answers have it, for messages_page.sh: a line per front-end
 * message (number, is it served, protocol feature bit that it needs), per protocol feature and per virtio feature
 * (number, types of devices that may offer it).
 */
#include "rig.h"

#include "array.h"
#include "policy.h"
#include "vu_rules.h"

#include <stdio.h>

static void print_messages(void)
{
        for (uint32_t request = 1; request < VU_REQUESTS; request++) {
                const struct vu_rule *rule = vu_rule_of(request);
                bool served = rule && rule->handle;

                printf("front %u %s %d\n", request, served ? "yes" : "no", served ? rule->needs : VU_ALWAYS);
        }
}

/* "block, rng" */
static void print_types(const char *what, unsigned bit, const uint64_t *offered)
{
        const char *between = "";

        printf("%s %u ", what, bit);
        for (size_t i = 0; i < policy_n_devices; i++)
                if (offered[i] >> bit & 1) {
                        printf("%s%s", between, policy_devices[i]->type);
                        between = ", ";
                }
        printf("%s\n", *between ? "" : "no");
}

/* What a session of this type of device answers, its worker offering all it may. */
static void ask(const struct policy_device *policy, uint64_t *ret_features, uint64_t *ret_protocol)
{
        struct rig rig;

        rig_init_early(&rig);
        rig.s->allowed.features = UINT64_MAX;
        rig.s->allowed.protocol_features = policy->protocol_features;
        rig_ready(&rig);
        rig.s->offered = policy->features;
        *ret_features = rig_get(&rig, VU_GET_FEATURES);
        *ret_protocol = rig_get(&rig, VU_GET_PROTOCOL_FEATURES);
        rig_done(&rig);
}

/* A test because the rig wants to be in one. */
START_TEST(prints)
{
        uint64_t features[8], protocol[8];

        ck_assert_uint_le(policy_n_devices, ARRAY_SIZE(features));
        for (size_t i = 0; i < policy_n_devices; i++)
                ask(policy_devices[i], &features[i], &protocol[i]);
        print_messages();
        for (unsigned bit = 0; bit < 64; bit++)
                print_types("protocol", bit, protocol);
        for (unsigned bit = 0; bit < 64; bit++)
                print_types("virtio", bit, features);
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = { &prints };

        return rig_main("tables", tests, ARRAY_SIZE(tests));
}
