/*
 * One front-end connection: its state, and the loop that serves it. Every module of this room works on this struct.
 */
#pragma once

#include "backend.h"
#include "ipc.h"
#include "ledger.h"
#include "postcopy.h"
#include "session_log.h"
#include "vu_out.h"
#include "vu_recv.h"
#include "worker_link.h"

enum { SESSION_WAIT = 1 }; /* a handler's: the answer has to wait for the worker's */

/* How a session ends; the process's exit status. */
enum session_end {
        SESSION_LEFT = 0, /* the front-end or the broker has gone */
        SESSION_FRONT_END_FAILED = 1,
        SESSION_WORKER_FAILED = 2,
        SESSION_BROKER_FAILED = 3,

        SESSION_NO_CONNECTION = 10, /* stages of the start */
        SESSION_NO_CONFINEMENT = 11,
        SESSION_NO_MDWE = 12,
        SESSION_NO_LANDLOCK = 13,
        SESSION_NO_FILTER = 14,
};

enum session_owes { OWES_SERVING = 1 << 0, OWES_WANT_WORKER = 1 << 1 };

struct session {
        struct session_log log;
        struct fd broker; /* packets from the broker */
        struct fd up;     /* packets to the broker: a pipe */
        struct ipc_peer broker_peer;
        unsigned owes; /* packets that the pipe has not taken yet */
        uint32_t lacks;   /* enum ipc_layer: missing from this process */
        bool may_restart; /* a dead worker is replaced; else its death is ours */

        struct ipc_connection allowed;
        struct ipc_ready device; /* the worker's READY, limited to what is allowed */
        uint64_t offered;        /* virtio features; fixed by the first READY */
        bool has_device;         /* a first READY came */

        struct fd front;
        struct vu_msg msg;
        bool handling;       /* msg is whole and not finished */
        char why[200];       /* what was wrong with it */
        struct vu_out out;
        struct log_limit pace;
        long long paused_until; /* 0: reading */
        long long setup_until;  /* when something must have been negotiated; 0: it has */
        long long first_until;  /* when the first message must have come; 0: it has */
        long long partial_since;
        long long state_since; /* when the result of a device's state was asked for */
        bool features_refused;
        bool config_change_due;
        bool misses_due; /* the back-end channel is full: wait for it */
        struct backend_due due[LIMIT_QUEUES];
        uint64_t resize_due; /* the disk's new size, bytes, which the worker has not been told yet; 0: none */

        enum postcopy_state postcopy;
        bool postcopy_waits; /* regions were told that are not to be touched yet */
        struct fd userfault; /* the worker's, on its way to the front-end */

        struct worker_link link;
        struct ledger ledger;

        bool over;
        enum session_end end;
};

/* Takes broker and up. The struct must not move afterwards. */
void session_init(struct session *s, struct fd broker, struct fd up);

/* Starts to serve: `connection` carries the front-end's connection and the worker's channel, which are taken. */
void session_open(struct session *s, struct packet *connection);

/* Closes everything. */
void session_done(struct session *s);

/* Waits, at most most_ms (-1: as long as it takes), and handles what has come. Until s->over. */
void session_step(struct session *s, int most_ms);

/* Ends the session: the first call counts, and logs one line. */
void session_end(struct session *s, enum session_end end, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The time (clock_ns) so many milliseconds from now; 0: never, the limit is 0. */
long long session_deadline(uint32_t limit_ms);

/* Ends it without a word: its line was written. */
void session_end_quietly(struct session *s, enum session_end end);

/* Says what is wrong with the message at hand, for the line its failure will have; returns error. */
int session_fail(struct session *s, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Is the protocol feature in force? */
bool session_has(const struct session *s, unsigned protocol_feature);

/* A worker is there (again) and took the whole ledger. */
void session_worker_up(struct session *s);
