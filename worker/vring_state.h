/*
 * The life of a vring as an enum and a table (vhost-user, "Ring states").
 */
#pragma once

#include <stdbool.h>

enum vring_state { STOPPED_OFF, STOPPED_ON, STARTED_OFF, STARTED_ON, BROKEN }; /* ring, SET_VRING_ENABLE */

enum vring_event { VRING_START, VRING_STOP, VRING_ENABLE, VRING_DISABLE, VRING_FAULT };

enum vring_state vring_state_after(enum vring_state state, enum vring_event event);

static inline bool vring_state_started(enum vring_state state)
{
        return state == STARTED_OFF || state == STARTED_ON;
}
