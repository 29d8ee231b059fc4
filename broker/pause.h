/*
 * An event source that is held back for a while, because somebody is too fast: what comes meanwhile waits where it is.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

struct pause {
        sd_event_source **source; /* its owner's; may become NULL meanwhile */
        sd_event_source *timer;
};

/* Switches *source off and, usec later, on again. Without a timer it stays on. The struct must stay where it is. */
void pause_source(struct pause *pause, sd_event_source **source, uint64_t usec);

/* Ends it, without switching anything on. Harmless on a zeroed one. */
void pause_done(struct pause *pause);
