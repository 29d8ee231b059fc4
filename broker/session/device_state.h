/*
 * Transfer of the device's own state.
 */
#pragma once

#include <stdbool.h>

struct session;

/* Does the front-end wait for a transfer to end, and a worker work at it? */
bool state_is_awaited(const struct session *s);
