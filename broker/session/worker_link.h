/*
 * The channel to the worker: one packet at a time downward, each answered once; everything upward is judged as from
 * a stranger. Nothing here waits: the loop calls in when the channel has something, or takes something.
 */
#pragma once

#include "ipc.h"
#include "proposal.h"
#include "replay.h"

struct session;
struct vu_msg;

/*
 * What to do when the worker has accepted: enter it into the ledger. Returns like a handler (vu_rules.h): a further
 * proposal of the same message is possible.
 */
typedef int link_commit(struct session *s, struct vu_msg *m, uint64_t value);

enum link_busy {
        LINK_IDLE,
        LINK_REPLAYING, /* the packet on its way is the replay's */
        LINK_PROPOSING, /* it is the message's */
};

struct worker_link {
        struct fd channel; /* none: the worker has died and its successor has not come */
        struct ipc_peer peer;
        uint32_t sequence; /* of the last packet */
        enum link_busy busy;
        bool unsent;     /* the packet is still ours: the channel was full */
        long long since; /* when it was found full */
        struct replay replay;
        struct proposal replayed;
        struct proposal proposal; /* kept until answered, to be sent once more to a successor */
        link_commit *commit;      /* NULL: no proposal pending */
};

void link_init(struct worker_link *link);
void link_done(struct worker_link *link);

/* A worker, the first or a successor; owns the channel. It has to say READY first. */
void link_open(struct session *s, struct fd channel);

/* Has a worker taken the whole ledger, and does no packet wait for an answer? */
bool link_idle(const struct worker_link *link);

/* Sends a proposal of the message at hand; returns SESSION_WAIT for the handler to return. The link must be idle. */
int link_propose(struct session *s, const struct proposal *proposal, link_commit *commit);

/* The commit of a proposal of which the ledger keeps nothing. */
link_commit link_keeps_nothing;

/* Takes what the channel brings, a limited number of packets. A breach ends the session. */
void link_receive(struct session *s);

/* Sends the packet that the full channel refused. */
void link_send(struct session *s);
