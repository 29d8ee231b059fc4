/*
 * The entropy device: what it offers and the one call that it adds.
 */
#include "policy.h"

#include "every_device.h"

const struct policy_device policy_rng = {
        .type = "rng",
        .id = VIRTIO_ID_RNG,
        .features = POLICY_RING_FEATURES,
        .protocol_features = POLICY_PROTOCOL_FEATURES,
        .queues_max = 1,
};

const struct policy_call policy_rng_run[] = {
        { "getrandom", "rng.c: rng_serve" },
        { NULL },
};
