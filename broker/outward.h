/*
 * Connect=: a device whose front-end listens, and to whom the broker connects, again and again.
 */
#pragma once

#include "config.h"
#include "fd.h"
#include "log.h"

#include <systemd/sd-event.h>

struct host;

struct outward {
        struct host *host;
        const struct device_config *config; /* borrowed */
        const struct log *log;
        void (*on_connected)(void *context, struct fd connection);
        void *context;
        sd_event_source *timer;
        uint64_t tried_us; /* when we tried last; CLOCK_MONOTONIC */
        int said;          /* -errno of the last line, so that it is not said again; 0: none */
};

/*
 * Tries at once, then every half second until there is a connection whose other end AllowUser= and AllowGroup= allow:
 * it is given to on_connected, and nothing more happens until outward_next. -errno of the timer.
 */
int outward_start(struct outward *outward, struct host *host, const struct device_config *config, const struct log *log,
                  void (*on_connected)(void *context, struct fd connection), void *context);

/* The connection has ended, or could not be served: tries again, not sooner than half a second after the last time. */
void outward_next(struct outward *outward);

/* Tries no more; harmless on a zeroed one. */
void outward_stop(struct outward *outward);
