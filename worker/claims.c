/*
 * State in the statistics: nobody here ever reads it back.
 */
#include "claims.h"

#include "worker.h"

uint64_t *claims_of_vring(const struct vring *vr)
{
        return &vr->loop->stats.page->vring[vr->index / vr->worker->n_loops];
}

void claims_features(const struct worker *w)
{
        struct stats_page *page = w->loop[0].stats.page;

        stats_set(&page->features, w->acked);
        stats_set(&page->modes, (w->dirty.data ? STATS_LOG_ALL : 0) | (w->mem.iotlb ? STATS_IOMMU : 0));
}

void claims_memory(const struct worker *w)
{
        struct stats_page *page = w->loop[0].stats.page;
        uint64_t memory = 0;

        for (unsigned i = 0; i < w->mem.n; i++)
                memory += w->mem.region[i].len;
        stats_set(&page->regions, w->mem.n);
        stats_set(&page->memory, memory);
}

static uint64_t claim_of(const struct vring *vr)
{
        bool started = vring_state_started(vr->state);
        uint64_t state = (started ? STATS_STARTED : 0) | (vr->state == BROKEN ? STATS_BROKEN : 0) |
                         (vr->state == STARTED_ON || vr->state == STOPPED_ON ? STATS_ENABLED : 0);

        if (!started && vr->state != BROKEN) /* what it once was is not said of it */
                return state;
        return state | vr->size | (vr->format == &vring_packed ? STATS_PACKED : 0) | (vr->log_ring ? STATS_LOGGED : 0) |
               (vr->stalled ? STATS_WAITS : 0) | (vr->drains ? STATS_DRAINS : 0);
}

void claims_vring(struct vring *vr)
{
        vr->claimed = claim_of(vr);
        claims_busy(vr);
}
