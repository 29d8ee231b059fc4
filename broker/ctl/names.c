/*
 * Words.
 */
#include "names.h"

#include "array.h"
#include "control_packets.h"
#include "policy.h"
#include "virtio.h"

#include <stdio.h>
#include <string.h>

static const char *const states[CONTROL_STATES] = {
        [CONTROL_IDLE] = "idle",     [CONTROL_STARTING] = "starting", [CONTROL_SERVING] = "serving",
        [CONTROL_ENDING] = "ending", [CONTROL_DRAINING] = "draining", [CONTROL_DOWN] = "down",
};
static const char *const engines[IPC_ENGINES] = {
        [IPC_ENGINE_AUTO] = "auto",
        [IPC_ENGINE_URING] = "uring",
        [IPC_ENGINE_SYNC] = "sync",
        [IPC_ENGINE_NULL] = "null",
};
/* virtio 1.3, 6 and 5.2.3. */
static const char *const ring_features[] = {
        [VIRTIO_F_INDIRECT_DESC] = "INDIRECT_DESC", [VIRTIO_F_EVENT_IDX] = "EVENT_IDX",
        [VIRTIO_F_VERSION_1] = "VERSION_1",         [VIRTIO_F_ACCESS_PLATFORM] = "ACCESS_PLATFORM",
        [VIRTIO_F_RING_PACKED] = "RING_PACKED",     [VIRTIO_F_IN_ORDER] = "IN_ORDER",
};
static const char *const blk_features[] = {
        [VIRTIO_BLK_F_SEG_MAX] = "SEG_MAX",   [VIRTIO_BLK_F_RO] = "RO",
        [VIRTIO_BLK_F_BLK_SIZE] = "BLK_SIZE", [VIRTIO_BLK_F_FLUSH] = "FLUSH",
        [VIRTIO_BLK_F_TOPOLOGY] = "TOPOLOGY", [VIRTIO_BLK_F_CONFIG_WCE] = "CONFIG_WCE",
        [VIRTIO_BLK_F_MQ] = "MQ",             [VIRTIO_BLK_F_DISCARD] = "DISCARD",
        [VIRTIO_BLK_F_WRITE_ZEROES] = "WRITE_ZEROES",
};
static const char *const layers[LAYERS] = { "namespaces", "uids", "landlock", "mdwe" };

const char *name_of_state(uint32_t state)
{
        return state < ARRAY_SIZE(states) ? states[state] : "?";
}

const char *name_of_engine(uint32_t engine)
{
        return engine < ARRAY_SIZE(engines) ? engines[engine] : "?";
}

const char *name_of_type(uint32_t device)
{
        for (size_t i = 0; i < policy_n_devices; i++)
                if (policy_devices[i]->id == device)
                        return policy_devices[i]->type;
        return "?";
}

const char *name_of_feature(uint32_t device, unsigned bit)
{
        if (device == VIRTIO_ID_BLOCK && bit < ARRAY_SIZE(blk_features) && blk_features[bit])
                return blk_features[bit];
        return bit < ARRAY_SIZE(ring_features) ? ring_features[bit] : NULL;
}

const char *name_of_layer(unsigned bit)
{
        return bit < LAYERS ? layers[bit] : "?";
}

void names_of_layers(uint32_t set, char *ret_text, size_t size)
{
        ret_text[0] = '\0';
        for (unsigned i = 0; i < LAYERS; i++)
                if (set & 1u << i) {
                        size_t at = strlen(ret_text);

                        snprintf(ret_text + at, size - at, "%s%s", at ? "," : "", layers[i]);
                }
}
