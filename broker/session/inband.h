/*
 * Notifications as messages, for front-ends that want no descriptors (User-Mode Linux in its own time).
 */
#pragma once

#include "ledger.h"

#include <poll.h>

struct session;

/* The vring is about to start: its calls are ours to pass on, unless the front-end said how to call it. -errno. */
int inband_take_calls(struct session *s, struct ledger_vring *vring);

/* Fills a place for each vring (LIMIT_QUEUES at most) and returns how many; those that are not heard have fd -1. */
unsigned inband_polls(const struct session *s, struct pollfd *ret_polls);

/* Passes on what these polls have found. */
void inband_step(struct session *s, const struct pollfd *polls, unsigned n);

/* A vring broke: the front-end hears of it (VRING_ERR), if it has no descriptor for that. */
void inband_broken(struct session *s, uint32_t index);
