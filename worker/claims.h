/*
 * What the worker says of its state beside its counters (common/stats_page.h), each time that it changes. Called by the
 * first loop while all others are parked; of a vring, by its own loop as well.
 */
#pragma once

#include "stats.h"
#include "vring.h"

/* Its word in the statistics of its loop. */
uint64_t *claims_of_vring(const struct vring *vr);

/* Acked features, and in which way the device is used; regions of guest memory. */
void claims_features(const struct worker *worker);
void claims_memory(const struct worker *worker);

/* All of a vring. */
void claims_vring(struct vring *vr);

/* How many requests are in flight: on the data path, so the rest is kept ready. */
static inline void claims_busy(const struct vring *vr)
{
        stats_set(vr->claim, vr->claimed | (uint64_t) vr->busy << STATS_BUSY);
}
