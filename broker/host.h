/*
 * What all devices of a broker share.
 */
#pragma once

#include "log.h"
#include "privilege.h"
#include "programs.h"
#include "slots.h"

#include <systemd/sd-event.h>

enum { HOST_STRANGERS_MOST = 16 };

struct device;
struct down;

struct host {
        sd_event *event;
        struct privilege privilege;
        struct programs programs;
        struct slots slots;
        const struct log *log;
        struct device *device; /* array of n_devices */
        unsigned n_devices;
        struct down *down; /* array of n_down: devices that cannot be served */
        unsigned n_down;
        uint32_t sessions; /* counts all that ever were, to number them */
        struct fd stranger[HOST_STRANGERS_MOST]; /* that could not be closed yet */
        unsigned n_strangers;
        bool stopping;
        sd_event_source *stop_timer, *report_timer, *stranger_timer;
};

/* Makes what stopping needs, and with it the one descriptor of all timers, before anything runs. -errno. */
int host_prepare(struct host *host);

/* Reaps the process of a pidfd when it ends; owns the pidfd. -errno: it stays unreaped until the broker ends. */
int host_reap_later(struct host *host, struct fd pidfd);

/*
 * Gets rid of a stranger's connection without ever making its last close; later, if no process can be had now. Who
 * accepts connections must stop while there are such (n_strangers).
 */
void host_close_stranger(struct host *host, struct fd stranger);

/* Tells systemd in one line, soon, how the devices are. */
void host_report(struct host *host);

/* Looks at every disk again: its size may have changed. */
void host_look(struct host *host);

/* Ends all sessions and then the event loop, in less than a second. */
void host_stop(struct host *host);
