/*
 * The limits of the session that no config changes; the others come with the connection (struct ipc_limits).
 */
#pragma once

enum {
        LIMIT_WORKER_MS = 1000, /* for the worker to take a packet */
        LIMIT_PAUSE_MS = 10, /* how long reading rests when the burst is used up */
        LIMIT_LOG_PER_S = 10, /* until the connection's own is known */

        LIMIT_QUEUES = 256,         /* vrings; the protocol has 8 bits for an index */
        LIMIT_WORKER_PACKETS = 16, /* taken from the worker before the others get their turn */
};
