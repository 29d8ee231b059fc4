/*
 * The device's own state on its way to or from another back-end (vhost-user, "Migrating back-end state"): a pipe or a
 * socket of the front-end's, never waited for.
 */
#pragma once

#include "fd.h"
#include "ipc.h"

#include <stdbool.h>
#include <stddef.h>

enum { DEVICE_STATE_MAX = 1024 }; /* bytes of a state */

struct worker;

struct device_state {
        struct fd fd; /* none: no transfer is under way */
        bool load;
        bool made;  /* there was a transfer */
        int result; /* of the last one: 0 or -errno */
        size_t n;   /* bytes so far */
        size_t len; /* save: bytes in all */
        uint8_t bytes[DEVICE_STATE_MAX];
};

/* No transfer. */
void device_state_init(struct device_state *state);

/* Begins a transfer, and gives up one that was under way; owns fd. -EPERM, -errno: nothing to be waited for. */
int device_state_begin(struct worker *w, bool load, struct fd fd);

/* Goes on as far as the descriptor lets it. The first loop calls when it is ready, all others are parked. */
void device_state_step(struct worker *w);

/* Is one under way? */
bool device_state_busy(const struct device_state *state);

/*
 * The device's mode (device.h) into the in-flight area, after each change; and out of an area that is new here, for a
 * front-end that comes back with it has told its earlier worker only.
 */
void device_mode_keep(struct worker *w);
void device_mode_take(struct worker *w);

/* The result of the last one: 0 or -errno; -ENODATA: there was none. */
int device_state_result(const struct device_state *state);
