/*
 * Event sources that are held back for a while.
 */
#include "pause.h"

#include <time.h>

static int on_over(sd_event_source *timer, uint64_t usec, void *context)
{
        struct pause *pause = context;

        (void) timer;
        (void) usec;
        return *pause->source ? sd_event_source_set_enabled(*pause->source, SD_EVENT_ON) : 0;
}

void pause_source(struct pause *pause, sd_event_source **source, uint64_t usec)
{
        pause_done(pause);
        pause->source = source;
        if (sd_event_add_time_relative(sd_event_source_get_event(*source), &pause->timer, CLOCK_MONOTONIC, usec, 0,
                                       on_over, pause) >= 0)
                sd_event_source_set_enabled(*source, SD_EVENT_OFF);
}

void pause_done(struct pause *pause)
{
        pause->timer = sd_event_source_disable_unref(pause->timer);
}
