/*
 * A device: its socket or the front-end's, who may be there, and who is connected now.
 */
#pragma once

#include "broker_log.h"
#include "config.h"
#include "listen.h"
#include "outward.h"
#include "pause.h"
#include "resource.h"
#include "serving.h"

struct device {
        struct device_config *config; /* borrowed */
        struct resource resource;
        struct fd statistics; /* of all its workers */
        struct fd net; /* the namespace of all its sessions and workers, empty; FD_NONE: none was made yet */
        struct listener listener;
        struct fd cgroup; /* cgroup.procs of its own; FD_NONE: there are none */
        struct broker_log log;
        struct host *host;
        struct serving serving;
        struct fd held; /* a connection that waits for the device to become free */
        struct outward outward; /* Connect= */
        sd_event_source *listen_source, *held_source, *held_timer;
        struct pause accept_pause;
        struct log_limit accepts, refusals;
};

/* Starts to listen, or to connect. The device must stay where it is. -errno. */
int device_start(struct device *device, struct host *host);

/* Has the disk a new size? Then whoever uses it is told. */
void device_look(struct device *device);

/* Takes no more connections and asks the one there is to end. */
void device_stop(struct device *device);

/* At the end of the process: releases everything but the listening socket (listener_leave). */
void device_done(struct device *device);
