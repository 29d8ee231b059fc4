/*
 * The socket that vhostctl asks: who may, how fast, and that nobody there holds up the broker.
 */
#pragma once

#include "control_answers.h"
#include "listen.h"
#include "log.h"
#include "options.h"
#include "pause.h"

#include <systemd/sd-event.h>

enum { CONTROL_CONNECTIONS_MOST = 8 };

struct control;

struct control_connection {
        struct control *control;
        struct fd socket; /* FD_NONE: this place is free */
        sd_event_source *source, *timer; /* its packets; when it is to be read again, or has been silent for too long */
        struct log_limit questions;
        bool paused;
};

struct control {
        struct host *host;
        struct listener listener; /* socket FD_NONE: nobody can ask */
        bool has_group;
        gid_t group; /* beside root, may ask */
        sd_event_source *source; /* who connects */
        struct pause accept_pause;
        struct log_limit accepts, refusals;
        struct control_connection connection[CONTROL_CONNECTIONS_MOST];
};

/*
 * Takes the socket that systemd passed as "control", or makes the one the options say, while the broker still may. A
 * default place where none can be made is a warning; else -errno, logged.
 */
int control_open(struct control *control, const struct options *options, struct listen_passed *passed,
                 const struct log *log);

/* Begins to answer. The struct must stay where it is. -errno. */
int control_start(struct control *control, struct host *host);

/* At the end of the process, which hangs up on everybody: removes the socket if that is ours. */
void control_done(struct control *control);
