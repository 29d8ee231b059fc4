/*
 * The one reply that may be on its way to the front-end.
 */
#pragma once

#include "fd.h"
#include "vhost_user.h"

#include <stddef.h>

/* Zeroed but for `fd`, which is FD_NONE, means none. */
struct vu_out {
        uint8_t bytes[sizeof(struct vu_header) + sizeof(struct vu_config)]; /* the longest reply we give */
        size_t length, sent;
        struct fd fd; /* goes with the first byte */
        long long since; /* when it was made */
};

/* Makes the reply to `request`; owns fd (FD_NONE: none). -EMSGSIZE: too long, and nothing is kept. */
int vu_out_fill(struct vu_out *out, uint32_t request, const void *payload, size_t size, struct fd fd);

/* Sends what is left, without blocking. 0: all is sent; -EAGAIN: not yet; else the front-end has gone. */
int vu_out_send(struct vu_out *out, int socket);

/* Forgets it. */
void vu_out_done(struct vu_out *out);
