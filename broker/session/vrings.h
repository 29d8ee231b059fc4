/*
 * What the handlers of vrings need from one another.
 */
#pragma once

#include <stdint.h>

struct session;
struct vu_msg;

/*
 * Proposes to stop a vring that is not stopped, enters the result into the ledger, and then lets the handler of the
 * message at hand look again. For the handler to return.
 */
int vring_stop_first(struct session *s, uint32_t index);

/* Proposes to start a stopped vring, kicked by the message's first descriptor (none: polled). Likewise. */
int vring_start_by(struct session *s, struct vu_msg *m, uint32_t index);
