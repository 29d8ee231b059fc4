/*
 * A device that is down, because its file has mistakes or its disk could not be opened: who connects is told at once,
 * by the end of the connection, instead of waiting for a broker that never comes.
 */
#pragma once

#include "config.h"
#include "listen.h"

#include <systemd/sd-event.h>

struct host;

struct down {
        char name[CONFIG_NAME_MAX + 1];
        struct listener listener; /* without a socket: nobody passed one */
        struct host *host;
        sd_event_source *source;
};

/* Starts to refuse. The device must stay where it is. -errno. */
int down_start(struct down *down, struct host *host);

/* At the end of the process: releases everything but the listening socket (listener_leave). */
void down_done(struct down *down);
