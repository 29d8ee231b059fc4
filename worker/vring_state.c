/*
 * The life of a vring. A broken one is only cured by being stopped.
 */
#include "vring_state.h"

static const enum vring_state vring_next[][5] = {
        /*                START        STOP         ENABLE      DISABLE      FAULT  */
        [STOPPED_OFF] = { STARTED_OFF, STOPPED_OFF, STOPPED_ON, STOPPED_OFF, BROKEN },
        [STOPPED_ON] = { STARTED_ON, STOPPED_ON, STOPPED_ON, STOPPED_OFF, BROKEN },
        [STARTED_OFF] = { STARTED_OFF, STOPPED_OFF, STARTED_ON, STARTED_OFF, BROKEN },
        [STARTED_ON] = { STARTED_ON, STOPPED_ON, STARTED_ON, STARTED_OFF, BROKEN },
        [BROKEN] = { BROKEN, STOPPED_OFF, BROKEN, BROKEN, BROKEN },
};

enum vring_state vring_state_after(enum vring_state state, enum vring_event event)
{
        return vring_next[state][event];
}
