/*
 * One connection being served: its session, its worker, the channels to them, and the fence behind them.
 */
#pragma once

#include "broker_log.h"
#include "config.h"
#include "fd.h"
#include "ipc.h"
#include "pause.h"
#include "resource.h"
#include "spawn.h"

#include <systemd/sd-event.h>

struct host;

enum serving_state {
        SERVING_FREE,     /* nothing of an earlier connection is left */
        SERVING_STARTING, /* they are being made */
        SERVING_UP,       /* session and worker run */
        SERVING_ENDING,   /* one of them has ended, the other is on its way */
        SERVING_DRAINING, /* both have ended; I/O that the worker submitted has not */
};

enum { SERVING_WORKER, SERVING_SESSION, SERVING_CHILDREN }; /* the worker has more to do, so it is born first */

struct serving {
        enum serving_state state;
        struct host *host;
        const struct broker_log *log; /* that of the device */
        void (*on_free)(void *context);
        void *context;

        int cgroup; /* borrowed: cgroup.procs of the device's; -1: none */
        int statistics; /* borrowed: the device's */
        struct fd *net; /* borrowed: the device's, which the first start fills in */
        const struct resource *resource; /* borrowed: the device's */
        uint32_t id; /* number of the session */
        int error;   /* why this one could not be started; 0: it was, or is on its way */
        bool resized; /* the disk, since the start began */
        bool killed; /* by us: then the end by SIGKILL is no news */
        struct serving_child {
                struct fd pidfd; /* FD_NONE: reaped */
                pid_t pid;       /* names the process until it is reaped */
                uint32_t slot;
                sd_event_source *source;
        } child[SERVING_CHILDREN];
        struct spawning spawning; /* while STARTING */
        struct fd control; /* to the session; nothing can come back through it */
        struct fd reports; /* packet-mode pipe from the session */
        struct fd fence;   /* hangs up when the worker's last I/O has ended */
        sd_event_source *spawn_source, *reports_source, *fence_source, *timer;
        struct pause reports_pause;
        struct ipc_peer peer;
        bool ready; /* the worker's READY was taken, as `said` says */
        struct ipc_serving said;
        struct log_limit lines, packets;
        uint32_t lines_per_s;
};

/* Prepares a free one. `on_free` is called each time it has become free again. */
void serving_init(struct serving *serving, struct host *host, const struct broker_log *log,
                  void (*on_free)(void *context), void *context);

/*
 * Serves a connection, which it owns from here on, by a session and a worker for the device. -errno: refused, logged;
 * the connection is closed. A failure later on, `error` says which, ends in on_free like any other end.
 */
int serving_start(struct serving *serving, const struct device_config *config, struct fd connection);

/* The disk has a new size: tells who uses it now, if anybody. Failures are logged; a next connection knows anyway. */
void serving_resize(struct serving *serving);

/* Virtio and protocol features that policy and config allow a device, and its vrings. */
uint64_t serving_offered(const struct device_config *config);
uint64_t serving_protocol_offered(const struct device_config *config);
uint32_t serving_queues(const struct device_config *config);

/* Asks the session to end, by hanging up. */
void serving_ask_end(struct serving *serving);

/* Kills session and worker. */
void serving_kill(struct serving *serving);

/* Has it processes that were not reaped yet? */
bool serving_has_children(const struct serving *serving);
