/*
 * Shared by the files that make up serving.h: its start, its reports, its end.
 */
#pragma once

#include "serving.h"

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
