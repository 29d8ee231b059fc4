/*
 * What one front-end may cost us: every limit of the session, in one place.
 */
#pragma once

#include <stdint.h>

#define LIMIT_MEMORY (UINT64_C(4) << 40) /* bytes of guest memory in all regions together */

enum {
        LIMIT_HANDSHAKE_MS = 5000, /* from the worker's READY to the first whole message */
        LIMIT_PARTIAL_MS = 1000,   /* from the first byte of a message to its last */
        LIMIT_REPLY_MS = 5000,     /* for the front-end to take a reply */
        LIMIT_WORKER_MS = 1000,    /* for the worker to take a packet */

        LIMIT_MESSAGES_PER_S = 1000,
        LIMIT_MESSAGES_BURST = 4000,
        LIMIT_PAUSE_MS = 10, /* how long reading rests when the burst is used up */

        LIMIT_LOG_PER_S = 10,
        LIMIT_LOG_BURST = 20,

        LIMIT_QUEUES = 256,         /* vrings; the protocol has 8 bits for an index */
        LIMIT_WORKER_PACKETS = 16, /* taken from the worker before the others get their turn */
};
