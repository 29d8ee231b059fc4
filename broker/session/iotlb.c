/*
 * IOTLB messages (vhost-user, "IOMMU support"): passed on to the worker, which keeps them. Where they lead is judged
 * there, whenever one is used.
 */
#include "handlers.h"
#include "session.h"

#include <errno.h>
#include <inttypes.h>

/* An invalidation may end at the end of all addresses, or, its size having wrapped to 0, be one of all. */
static uint64_t last_of(const struct vu_iotlb *what)
{
        uint64_t last = what->iova + (what->size - 1);

        return last < what->iova ? UINT64_MAX : last;
}

static int check_update(struct session *s, const struct vu_iotlb *what)
{
        uint64_t end;

        if (what->size == 0 || what->access == 0 || what->access > (VU_IOTLB_READ | VU_IOTLB_WRITE))
                return session_fail(s, -EINVAL, "iova 0x%" PRIx64 "+0x%" PRIx64 ", access %u", what->iova, what->size,
                                    what->access);
        if (__builtin_add_overflow(what->iova, what->size - 1, &end) ||
            __builtin_add_overflow(what->uva, what->size - 1, &end))
                return session_fail(s, -EOVERFLOW, "iova 0x%" PRIx64 ", uva 0x%" PRIx64 " + 0x%" PRIx64, what->iova,
                                    what->uva, what->size);
        return 0;
}

int iotlb_msg(struct session *s, struct vu_msg *m)
{
        const struct vu_iotlb *what = &m->iotlb;
        struct proposal proposal = { .type = IPC_IOTLB, .length = sizeof(proposal.iotlb),
                                     .iotlb = { .iova = what->iova, .last = last_of(what) } };
        int r = 0;

        if (!s->ledger.iommu)
                return session_fail(s, -EPROTO, "not negotiated");
        if (what->type != VU_IOTLB_UPDATE && what->type != VU_IOTLB_INVALIDATE)
                return session_fail(s, -EINVAL, "type %u", what->type);
        if (what->type == VU_IOTLB_UPDATE) {
                r = check_update(s, what);
                proposal.iotlb.uva = what->uva;
                proposal.iotlb.access = what->access;
        }
        return r < 0 ? r : link_propose(s, &proposal, link_keeps_nothing);
}
