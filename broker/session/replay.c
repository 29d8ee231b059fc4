/*
 * Replay. The order is that of needs: a vring start wants the in-flight area, the features, the config as the driver
 * wrote it (a disk's cache mode says what a completed write is worth) and its memory.
 * Every start resumes: the position comes from the in-flight area and the ring, no longer from the ledger.
 */
#include "replay.h"

/* The next run of bytes that the driver has written. All others are the new worker's own. */
static bool next_config(struct replay *replay, const struct ledger_config *config, struct proposal *ret)
{
        unsigned from;

        while (replay->at < VU_CONFIG_MAX && !config->written[replay->at])
                replay->at++;
        from = replay->at;
        while (replay->at < VU_CONFIG_MAX && config->written[replay->at])
                replay->at++;
        if (from == replay->at)
                return false;
        proposal_set_config(ret, from, config->bytes + from, replay->at - from);
        return true;
}

static bool next_region(struct replay *replay, const struct ledger *ledger, struct proposal *ret)
{
        while (replay->at < ledger->n_slots) {
                unsigned slot = replay->at++;
                const struct ledger_region *region = &ledger->region[slot];

                if (fd_has(&region->fd)) {
                        proposal_region_add(ret, slot, &region->at, region->fd.num);
                        return true;
                }
        }
        return false;
}

static bool next_vring(struct replay *replay, const struct ledger *ledger, struct proposal *ret)
{
        while (replay->at < ledger->n_vrings) {
                unsigned index = replay->at++;
                const struct ledger_vring *vring = &ledger->vring[index];

                if (vring->state == VRING_STARTED) {
                        proposal_vring_start(ret, vring, index, vring->kick.num, true);
                        return true;
                }
        }
        return false;
}

/* One part of the sequence; false: it is over. */
static bool next_of_part(struct replay *replay, const struct ledger *ledger, struct proposal *ret)
{
        switch (replay->part) {
        case REPLAY_INFLIGHT:
                if (replay->at++ || !fd_has(&ledger->inflight.fd))
                        return false;
                proposal_inflight(ret, &ledger->inflight);
                return true;
        case REPLAY_LOG:
                if (replay->at++ || !fd_has(&ledger->log.fd))
                        return false;
                proposal_dirty_log(ret, &ledger->log);
                return true;
        case REPLAY_LOG_FD:
                if (replay->at++ || !fd_has(&ledger->log_call))
                        return false;
                proposal_dirty_log_fd(ret, ledger->log_call.num);
                return true;
        case REPLAY_FEATURES:
                if (replay->at++ || !ledger->has_features)
                        return false;
                proposal_features(ret, ledger->features, ledger->log_all, ledger->iommu, false);
                return true;
        case REPLAY_CONFIG:
                return next_config(replay, &ledger->config, ret);
        case REPLAY_MEMORY:
                return next_region(replay, ledger, ret);
        case REPLAY_VRINGS:
                return next_vring(replay, ledger, ret);
        case REPLAY_END:
                break;
        }
        return false;
}

bool replay_next(struct replay *replay, const struct ledger *ledger, struct proposal *ret_proposal)
{
        for (; replay->part < REPLAY_END; replay->part++, replay->at = 0)
                if (next_of_part(replay, ledger, ret_proposal))
                        return true;
        return false;
}

void replay_prepare(struct ledger *ledger)
{
        for (unsigned i = 0; i < ledger->n_vrings; i++)
                if (ledger->vring[i].state == VRING_BROKEN)
                        ledger->vring[i].state = VRING_STOPPED;
}
