/*
 * The in-flight area: where a worker notes what it has taken and not completed, for its successor to resubmit.
 */
#pragma once

#include "ledger.h"

struct session;

/*
 * Makes an area of our own for a front-end that has set none, proposes it, and then lets the handler of the message
 * at hand look again. For the handler to return.
 */
int inflight_own_first(struct session *s);

/* A memfd of `size` zero bytes, sealed against resizing; the caller owns it. -errno. */
int inflight_new(uint64_t size, struct fd *ret_fd);
