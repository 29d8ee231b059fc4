/*
 * Shared by the files that make up serving.h: its start, its reports, its end.
 */
#pragma once

#include "serving.h"

/* All that is made for one connection, until it is given to the children. */
struct serving_birth {
        struct fd session_control; /* the session's 0 */
        struct fd session_reports; /* its 1 and 2 */
        struct fd worker_channel;  /* the worker's 0, 1 and 2 */
        struct fd session_channel; /* the other end: goes to the session by packet */
};

/* A connected, non-blocking pair of sockets of that type; a pipe. Both ends are the caller's. -errno. */
int serving_make_pair(int type, struct fd *ret_first, struct fd *ret_second);
int serving_make_pipe(int flags, struct fd *ret_read, struct fd *ret_write);

/* What both programs are told first. */
struct ipc_device serving_device(const struct host *host, const struct device_config *config,
                                 const struct resource *resource);
struct ipc_connection serving_connection(uint32_t id, const struct device_config *config);

/* What they are to be; their ids and descriptors are the caller's to set. */
struct child serving_session_child(const struct host *host, const struct device_config *config);
struct child serving_worker_child(const struct host *host, const struct device_config *config,
                                  const struct resource *resource);

/*
 * Begins to make session and worker, who get what was made for them; how it went is an event. -EAGAIN: no process can
 * be had, and nothing was given away.
 */
int serving_spawn(struct serving *serving, struct serving_birth *birth, const struct device_config *config);

/* Gives up a start that is under way. */
void serving_cancel_start(struct serving *serving);

/* Nothing of a start that failed is unknown any more: what was born ends like all others. */
void serving_end_start(struct serving *serving);

/* Sets the one timer. */
void serving_timer(struct serving *serving, uint64_t usec, sd_event_time_handler_t handler);

/* "session" or "worker". */
const char *serving_child_name(unsigned which);

/* Kills one of the children. */
void serving_kill_child(struct serving *serving, unsigned which);

/* A child has ended (event source of its pidfd). */
int serving_on_pidfd(sd_event_source *source, int fd, uint32_t events, void *context);

/* What a worker's files may grow to, bytes; RLIM_INFINITY: a block device, which cannot grow by writes. */
rlim_t serving_worker_fsize(const struct resource *resource);

/* The session has written (event source of the pipe). */
int serving_on_reports(sd_event_source *source, int fd, uint32_t events, void *context);

/* Reads what the session has written, `most` packets; what is no packet ends the session. */
void serving_read_reports(struct serving *serving, unsigned most);
