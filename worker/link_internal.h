/*
 * Shared by link.c and link_handlers.c only.
 */
#pragma once

#include "link.h"

#include <stdbool.h>
#include <stddef.h>

enum { LINK_LATER = 1 }; /* a handler's result: `pending` says what the answer waits for */

struct link_rule {
        int (*handle)(struct worker *w, struct packet *packet);
        uint64_t (*finish)(struct worker *w); /* after LINK_LATER; returns the answer's value */
};

/* A row per packet type that ipc_check() lets through. */
extern const struct link_rule link_rules[IPC_TYPES];

/* Sends one packet or ends the process. */
void link_send(const struct link *link, enum ipc_type type, uint32_t sequence, const void *body, size_t n);

/* Is nothing in flight on any vring? */
bool link_all_idle(const struct worker *w);
