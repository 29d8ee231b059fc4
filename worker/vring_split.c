/*
 * Split rings (virtio 1.3, 2.7). Our stores to the used ring pair with the driver's loads and the other way round;
 * each barrier names its partner.
 */
#include "vring.h"

#include "worker.h"

#include <errno.h>

static inline uint16_t load(const le16 SHARED *at, int order)
{
        return le16toh(shared_load16(at, order));
}

static inline void store(le16 SHARED *at, uint16_t value, int order)
{
        shared_store16(at, htole16(value), order);
}

static inline uint16_t slot_of(const struct vring *vr, uint16_t index)
{
        return index & (uint16_t) (vr->size - 1);
}

static le16 SHARED *used_event(const struct vring *vr)
{
        return &vr->avail->ring[vr->size];
}

static le16 SHARED *avail_event(const struct vring *vr)
{
        return (le16 SHARED *) &vr->used->ring[vr->size];
}

static int split_resolve(struct vring *vr)
{
        struct span desc, avail, used;
        int r;

        r = vring_span(vr, vr->desc_at, vring_desc_bytes(vr->size), 16, IPC_READ, &desc);
        if (r == 0)
                r = vring_span(vr, vr->avail_at, vring_avail_bytes(vr->size), 2, IPC_READ, &avail);
        if (r == 0)
                r = vring_span(vr, vr->used_at, vring_used_bytes(vr->size), 4, IPC_READ | IPC_WRITE, &used);
        if (r < 0)
                return r;
        vr->desc = desc.at;
        vr->avail = avail.at;
        vr->used = used.at;
        vr->used_gpa = used.gpa;
        return 0;
}

static int split_position(struct vring *vr, const struct ipc_vring_start *what)
{
        uint16_t used = load(&vr->used->idx, __ATOMIC_RELAXED);
        int r = inflight_of(&vr->worker->area, vr->index, vr->size, &vr->inflight);

        if (r < 0)
                return r;
        vr->next_avail = (uint16_t) what->base;
        if (what->resume && inflight_begun(&vr->inflight)) {
                r = inflight_resume(&vr->inflight, used, vr->again, &vr->n_again);
                if (r < 0)
                        return r;
                vr->next_avail = used + (uint16_t) vr->n_again;
        } else {
                inflight_begin(&vr->inflight, used);
        }
        vr->seen_avail = vr->next_avail;
        vr->used_idx = used;
        return 0;
}

static uint32_t split_base(const struct vring *vr)
{
        return vr->next_avail;
}

static bool split_recorded(struct vring *vr, uint32_t *ret_base)
{
        struct inflight inflight;

        if (inflight_of(&vr->worker->area, vr->index, vr->size, &inflight) < 0 || !inflight_begun(&inflight))
                return false;
        *ret_base = inflight_ahead(&inflight);
        return true;
}

/* The acquire pairs with the driver's barrier between its ring entries and avail.idx. */
static int split_look(struct vring *vr, struct chain_fault *ret_fault)
{
        uint16_t index = load(&vr->avail->idx, __ATOMIC_ACQUIRE);
        uint16_t ahead = index - vr->next_avail;

        if (ahead > vr->size) {
                *ret_fault = (struct chain_fault){ "avail index 0x%llx is too far ahead", index };
                return -EPROTO;
        }
        vr->seen_avail = index;
        return ahead ? 0 : -EAGAIN;
}

static int split_next(struct vring *vr, uint16_t *ret_head, struct chain_fault *ret_fault)
{
        uint16_t head;

        if (vr->seen_avail == vr->next_avail) {
                int r = split_look(vr, ret_fault);

                if (r < 0)
                        return r;
        }
        head = load(&vr->avail->ring[slot_of(vr, vr->next_avail)], __ATOMIC_RELAXED);
        if (head >= vr->size) {
                *ret_fault = (struct chain_fault){ "head 0x%llx beyond the vring", head };
                return -EPROTO;
        }
        *ret_head = head;
        return 0;
}

static int split_gather(struct vring *vr, const struct chain_source *source, struct iovec *spill,
                        struct chain *chain, struct chain_fault *ret_fault)
{
        (void) vr;
        return chain_gather(source, chain->head, spill, chain, ret_fault);
}

static void split_take(struct vring *vr, uint16_t head)
{
        inflight_take(&vr->inflight, head);
        vr->next_avail++;
}

static void split_put(struct vring *vr, uint16_t head, uint32_t written)
{
        uint16_t slot = slot_of(vr, vr->used_idx++);
        struct vring_used_elem SHARED *elem = &vr->used->ring[slot];

        shared_store32(&elem->id, htole32(head), __ATOMIC_RELAXED);
        shared_store32(&elem->len, htole32(written), __ATOMIC_RELAXED);
        vring_log_write(vr, offsetof(struct vring_used, ring) + slot * sizeof(*elem), sizeof(*elem));
}

/* The release pairs with the driver's barrier between used.idx and the entries. */
static void split_publish(struct vring *vr)
{
        inflight_prepare(&vr->inflight, vr->done, vr->n_done);
        store(&vr->used->idx, vr->used_idx, __ATOMIC_RELEASE);
        vring_log_write(vr, offsetof(struct vring_used, idx), sizeof(le16));
        inflight_settle(&vr->inflight, vr->done, vr->n_done, vr->used_idx);
}

/* The fence pairs with the driver's, between its store of used_event or avail.flags and its load of used.idx. */
static bool split_wants_call(struct vring *vr)
{
        uint16_t old = vr->signalled, now = vr->used_idx;
        bool valid = vr->signalled_valid;

        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!vr->event_idx)
                return !(load(&vr->avail->flags, __ATOMIC_RELAXED) & VRING_AVAIL_F_NO_INTERRUPT);
        vr->signalled = now;
        vr->signalled_valid = true;
        if (!valid)
                return true;
        return (uint16_t) (now - load(used_event(vr), __ATOMIC_RELAXED) - 1) < (uint16_t) (now - old);
}

static void store_event(struct vring *vr)
{
        store(avail_event(vr), vr->next_avail, __ATOMIC_RELAXED);
        vring_log_write(vr, (uint64_t) ((char SHARED *) avail_event(vr) - (char SHARED *) vr->used), sizeof(le16));
}

static void store_flags(struct vring *vr, uint16_t flags)
{
        store(&vr->used->flags, flags, __ATOMIC_RELAXED);
        vring_log_write(vr, offsetof(struct vring_used, flags), sizeof(le16));
}

/* The fence pairs with the driver's, between its store of avail.idx and its load of avail_event or used.flags. */
static bool split_ask_kicks(struct vring *vr)
{
        if (vr->event_idx)
                store_event(vr);
        if (load(&vr->used->flags, __ATOMIC_RELAXED))
                store_flags(vr, 0);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return load(&vr->avail->idx, __ATOMIC_RELAXED) != vr->next_avail;
}

/* With the event index it is enough to leave avail_event behind; the flag must stay 0 then (2.7.10.1). */
static void split_refuse_kicks(struct vring *vr)
{
        if (!vr->event_idx)
                store_flags(vr, VRING_USED_F_NO_NOTIFY);
}

static bool split_pending(const struct vring *vr)
{
        return load(&vr->avail->idx, __ATOMIC_RELAXED) != vr->next_avail;
}

static void split_log_all(const struct vring *vr)
{
        vring_log_write(vr, 0, vring_used_bytes(vr->size));
}

const struct vring_format vring_split = {
        .name = "split",
        .resolve = split_resolve,
        .position = split_position,
        .base = split_base,
        .recorded = split_recorded,
        .next = split_next,
        .gather = split_gather,
        .take = split_take,
        .put = split_put,
        .publish = split_publish,
        .wants_call = split_wants_call,
        .ask_kicks = split_ask_kicks,
        .refuse_kicks = split_refuse_kicks,
        .pending = split_pending,
        .log_all = split_log_all,
};
