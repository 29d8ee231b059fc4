/*
 * Words.
 */
#include "names.h"

#include "array.h"
#include "control_packets.h"
#include "policy.h"

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
