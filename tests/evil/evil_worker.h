/*
 * What an evil worker does at the very beginning, before anybody can command it: chosen by the device's config.
 */
#pragma once

enum { EVIL_POLL_MAX_US = 666 }; /* PollMaxUs= that says: begin so; Queues= is then one of: */

enum evil_opening {
        EVIL_OPENS_NOT = 1,
        EVIL_OPENS_WITH_GARBAGE,
        EVIL_OPENS_WITH_HALF,
        EVIL_OPENS_WITH_ANSWER,
        EVIL_OPENS_AS_ANOTHER,
        EVIL_OPENS_WITH_QUEUES,
        EVIL_OPENS_WITH_CONFIG,
        EVIL_OPENS_WITH_ENGINE,
        EVIL_OPENS_TWICE,
        EVIL_OPENS_WITH_FDS,
        EVIL_OPENINGS, /* one past the last */
};
