/*
 * Replay: the sequence of packets that gives a new worker the ledger's state.
 */
#pragma once

#include "ledger.h"
#include "proposal.h"

enum replay_part {
        REPLAY_INFLIGHT,
        REPLAY_LOG,
        REPLAY_LOG_FD,
        REPLAY_FEATURES,
        REPLAY_CONFIG,
        REPLAY_MEMORY,
        REPLAY_VRINGS,
        REPLAY_END
};

/* Where a replay is; zeroed: before its first packet. */
struct replay {
        enum replay_part part;
        unsigned at; /* byte, slot or vring to look at next */
};

/* The next packet: true, or false at the end. An empty ledger has none. The ledger must not change meanwhile. */
bool replay_next(struct replay *replay, const struct ledger *ledger, struct proposal *ret_proposal);

/* Before a replay: what a dead worker left broken is stopped, for a new one could not start it. */
void replay_prepare(struct ledger *ledger);
