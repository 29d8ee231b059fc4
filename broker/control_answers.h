/*
 * What the broker answers to vhostctl: copies of what it knows, in fixed structs.
 */
#pragma once

#include "control_packets.h"

struct host;

/* The answer to a question, whatever arrived as one. -EPROTO, -EBADMSG: it is none. */
int control_answer(const struct host *host, const struct packet *question, struct packet *ret_answer);
