/*
 * Packed rings (virtio 1.3, 2.8): one ring of descriptors for both directions, in which wrap counters tell whose turn
 * a slot is. Our stores to flags pair with the driver's loads and the other way round; each barrier names its partner.
 */
#include "vring.h"

#include "worker.h"

#include <errno.h>

enum { TURN = VRING_PACKED_DESC_F_AVAIL | VRING_PACKED_DESC_F_USED };

static inline uint16_t load_flags(const struct vring_packed_desc SHARED *desc, int order)
{
        return le16toh(shared_load16(&desc->flags, order));
}

static inline void store_flags(struct vring_packed_desc SHARED *desc, uint16_t flags, int order)
{
        shared_store16(&desc->flags, htole16(flags), order);
}

/* Both fields of an event area at once. */
static struct vring_packed_event load_event(const struct vring_packed_event SHARED *at)
{
        union {
                uint32_t word;
                struct vring_packed_event event;
        } copy = { .word = shared_load32((const shared_u32 SHARED *) at, __ATOMIC_RELAXED) };

        return copy.event;
}

static void store_event(struct vring_packed_event SHARED *at, uint16_t off_wrap, uint16_t flags)
{
        const union {
                struct vring_packed_event event;
                uint32_t word;
        } copy = { .event = { htole16(off_wrap), htole16(flags) } };

        shared_store32((shared_u32 SHARED *) at, copy.word, __ATOMIC_RELAXED);
}

static struct packed_position after(struct packed_position at, unsigned n, uint32_t size)
{
        unsigned slot = at.slot + n;

        return slot < size ? (struct packed_position){ (uint16_t) slot, at.wrap }
                           : (struct packed_position){ (uint16_t) (slot - size), !at.wrap };
}

static uint16_t encode(struct packed_position at)
{
        return at.slot | (at.wrap ? VRING_PACKED_WRAP : 0);
}

static struct packed_position decode(uint16_t half)
{
        return (struct packed_position){ half & (uint16_t) ~VRING_PACKED_WRAP, half & VRING_PACKED_WRAP };
}

static int packed_resolve(struct vring *vr)
{
        const uint32_t both = IPC_READ | IPC_WRITE;
        struct span desc, driver, device;
        int r = vring_span(vr, vr->desc_at, vr->size * sizeof(struct vring_packed_desc), 16, both, &desc);

        if (r == 0)
                r = vring_span(vr, vr->avail_at, sizeof(struct vring_packed_event), 4, IPC_READ, &driver);
        if (r == 0)
                r = vring_span(vr, vr->used_at, sizeof(struct vring_packed_event), 4, both, &device);
        if (r < 0)
                return r;
        vr->packed.desc = desc.at;
        vr->packed.driver = driver.at;
        vr->packed.device = device.at;
        vr->packed.desc_gpa = desc.gpa;
        vr->packed.device_gpa = device.gpa;
        return 0;
}

/*
 * The log address of SET_VRING_ADDR stands for one of the parts only, and front-ends differ which; where the parts
 * really lie we know ourselves.
 */
static void log_desc(const struct vring *vr, unsigned slot, unsigned n)
{
        const size_t size = sizeof(struct vring_packed_desc);

        if (vr->log_ring)
                dirty_log_mark(&vr->worker->dirty, (struct gpa){ vr->packed.desc_gpa.at + slot * size }, n * size);
}

static void log_device(const struct vring *vr)
{
        if (vr->log_ring)
                dirty_log_mark(&vr->worker->dirty, vr->packed.device_gpa, sizeof(struct vring_packed_event));
}

static void packed_log_all(const struct vring *vr)
{
        log_desc(vr, 0, vr->size);
        log_device(vr);
}

/*
 * User-Mode Linux begins a new ring with base 0, which is the start of every second lap. There the last slot bears the
 * AVAIL of the lap before, or the USED of a driver that has filled the ring again; in a new ring it bears neither.
 */
static bool is_new_ring(const struct vring *vr, uint32_t base)
{
        return base == 0 && !(load_flags(&vr->packed.desc[vr->size - 1], __ATOMIC_RELAXED) & TURN);
}

/* An upper half of 0 means: as avail. What lies between two different positions nobody could tell us. */
static int position_from_base(struct vring *vr, uint32_t base)
{
        struct packed_ring *p = &vr->packed;

        if (is_new_ring(vr, base))
                base = VRING_PACKED_WRAP;
        p->avail = decode((uint16_t) base);
        p->used = base >> 16 ? decode((uint16_t) (base >> 16)) : p->avail;
        if (p->avail.slot >= vr->size || encode(p->avail) != encode(p->used))
                return -EINVAL;
        inflight_packed_begin(&p->track, p->used);
        return 0;
}

/*
 * Of the last batch a predecessor may have written the used entries behind the first one, and died before the first.
 * The driver must not find them there when it comes to these slots: they become fetched descriptors again.
 */
static void hide_unpublished(struct vring *vr, unsigned slots)
{
        struct packed_position at = vr->packed.used;

        for (; slots; slots--, at = after(at, 1, vr->size)) {
                uint16_t used = at.wrap ? TURN : 0;

                if ((load_flags(&vr->packed.desc[at.slot], __ATOMIC_RELAXED) & TURN) == used)
                        store_flags(&vr->packed.desc[at.slot], at.wrap ? VRING_PACKED_DESC_F_AVAIL
                                                                       : VRING_PACKED_DESC_F_USED, __ATOMIC_RELAXED);
        }
}

/* USED alone tells whether a batch was published: the driver may have made its first slot available again since. */
static int position_from_area(struct vring *vr)
{
        struct packed_ring *p = &vr->packed;
        struct inflight_packed_found found;
        struct packed_position at;
        bool published;
        int r = inflight_packed_look(&p->track, &at);

        if (r < 0)
                return r;
        published = !!(load_flags(&p->desc[at.slot], __ATOMIC_RELAXED) & VRING_PACKED_DESC_F_USED) == at.wrap;
        r = inflight_packed_resume(&p->track, published, vr->again, &found);
        if (r < 0)
                return r;
        vr->n_again = found.n;
        p->used = found.used;
        p->avail = after(found.used, found.slots, vr->size);
        hide_unpublished(vr, found.slots);
        return 0;
}

static int packed_position(struct vring *vr, const struct ipc_vring_start *what)
{
        struct packed_ring *p = &vr->packed;
        int r = inflight_packed_of(&vr->worker->area, vr->index, vr->size, vr->slots, &p->track);

        p->batch = false;
        p->unsignalled = 0;
        if (r < 0)
                return r;
        if (what->resume && inflight_packed_begun(&p->track))
                return position_from_area(vr);
        return position_from_base(vr, what->base);
}

static uint32_t encode_base(struct packed_position avail, struct packed_position used)
{
        return encode(avail) | (uint32_t) encode(used) << 16;
}

static uint32_t packed_base(const struct vring *vr)
{
        return encode_base(vr->packed.avail, vr->packed.used);
}

/* An area that contradicts itself tells no base; the next start will say so. */
static bool packed_recorded(struct vring *vr, uint32_t *ret_base)
{
        struct inflight_packed *track = &vr->packed.track;
        struct inflight_packed_found found;

        if (inflight_packed_of(&vr->worker->area, vr->index, vr->size, vr->slots, track) < 0 ||
            !inflight_packed_begun(track))
                return false;
        if (inflight_packed_ahead(track, &found) == 0)
                *ret_base = encode_base(after(found.used, found.slots, vr->size), found.used);
        return true;
}

/* Has the driver made this slot available in this lap? */
static bool is_available(uint16_t flags, struct packed_position at)
{
        return (flags & TURN) == (at.wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED);
}

static bool packed_pending(const struct vring *vr)
{
        const struct packed_ring *p = &vr->packed;

        return is_available(load_flags(&p->desc[p->avail.slot], __ATOMIC_RELAXED), p->avail);
}

/* Copies the chain into the scratch list. The acquire pairs with the driver's barrier before its first flags. */
static int packed_next(struct vring *vr, uint16_t *ret_head, struct chain_fault *ret_fault)
{
        struct packed_ring *p = &vr->packed;
        struct packed_position at = p->avail;
        struct vring_packed_desc *list = vr->loop->scratch->list;
        unsigned n = 0;

        if (!is_available(load_flags(&p->desc[at.slot], __ATOMIC_ACQUIRE), at))
                return -EAGAIN;
        do {
                if (n == CHAIN_DESCS_MAX) {
                        *ret_fault = (struct chain_fault){ "chain of more than 0x%llx descriptors", n };
                        return -E2BIG;
                }
                if (n == p->track.n_free) {
                        *ret_fault = (struct chain_fault){ "more in flight than the vring has, at slot 0x%llx",
                                                           p->avail.slot };
                        return -EPROTO;
                }
                shared_read_desc(&list[n], &p->desc[at.slot]);
                at = after(at, 1, vr->size);
        } while (le16toh(list[n++].flags) & VRING_DESC_F_NEXT);
        p->listed = n;
        *ret_head = p->track.free_head;
        return 0;
}

static void packed_recall(struct vring *vr, uint16_t head)
{
        vr->packed.listed = inflight_packed_recall(&vr->packed.track, head, vr->loop->scratch->list,
                                                   CHAIN_DESCS_MAX);
}

static int packed_gather(struct vring *vr, const struct chain_source *source, struct iovec *spill, struct chain *chain,
                         struct chain_fault *ret_fault)
{
        int r;

        if (vr->packed.listed > CHAIN_DESCS_MAX) { /* by what the area says */
                *ret_fault = (struct chain_fault){ "chain of 0x%llx descriptors", vr->packed.listed };
                return -E2BIG;
        }
        r = chain_gather_packed(source, vr->packed.listed, chain->head, spill, chain, ret_fault);
        if (r == 0)
                vr->packed.track.slot[chain->head].writable = chain->in.left > 0;
        return r;
}

static void packed_take(struct vring *vr, uint16_t head)
{
        struct packed_ring *p = &vr->packed;

        (void) head; /* the first free entry, as next() said */
        inflight_packed_take(&p->track, vr->loop->scratch->list, p->listed);
        p->avail = after(p->avail, p->listed, vr->size);
}

/* The first entry of a batch hides all behind it: its flags wait for publish(). */
static void packed_put(struct vring *vr, uint16_t head, uint32_t written)
{
        struct packed_ring *p = &vr->packed;
        const struct inflight_slot *slot = &p->track.slot[head];
        struct vring_packed_desc SHARED *desc = &p->desc[p->used.slot];
        uint16_t flags = (p->used.wrap ? TURN : 0) | (slot->writable ? VRING_DESC_F_WRITE : 0);

        shared_store16(&desc->id, htole16(slot->id), __ATOMIC_RELAXED);
        shared_store32(&desc->len, htole32(written), __ATOMIC_RELAXED);
        if (p->batch) {
                store_flags(desc, flags, __ATOMIC_RELAXED);
        } else {
                p->batch = true;
                p->batch_slot = p->used.slot;
                p->batch_flags = flags;
        }
        log_desc(vr, p->used.slot, 1);
        p->used = after(p->used, slot->num, vr->size);
        p->unsignalled += slot->num;
}

/* The release pairs with the driver's barrier between flags and the rest. */
static void packed_publish(struct vring *vr)
{
        struct packed_ring *p = &vr->packed;

        inflight_packed_prepare(&p->track, vr->done, vr->n_done, p->used);
        if (p->batch) {
                store_flags(&p->desc[p->batch_slot], p->batch_flags, __ATOMIC_RELEASE);
                log_desc(vr, p->batch_slot, 1);
        }
        inflight_packed_settle(&p->track, vr->done, vr->n_done);
        p->batch = false;
}

/* Is the slot that the driver waits for among the last n that were used? It may lie in the lap before ours. */
static bool passed(const struct vring *vr, struct packed_position event, unsigned n)
{
        struct packed_position used = vr->packed.used;
        int64_t at = event.slot - (event.wrap == used.wrap ? INT64_C(0) : (int64_t) vr->size);

        return at < used.slot && at >= (int64_t) used.slot - n;
}

/* The fence pairs with the driver's, between its store of the driver area and its load of flags. */
static bool packed_wants_call(struct vring *vr)
{
        unsigned n = vr->packed.unsignalled;
        bool valid = vr->signalled_valid;
        struct vring_packed_event event;

        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        event = load_event(vr->packed.driver);
        vr->packed.unsignalled = 0;
        vr->signalled_valid = true;
        if (le16toh(event.flags) == VRING_PACKED_EVENT_DISABLE)
                return false;
        if (!valid || !vr->event_idx || le16toh(event.flags) != VRING_PACKED_EVENT_DESC)
                return true;
        return passed(vr, decode(le16toh(event.off_wrap)), n);
}

/* The fence pairs with the driver's, between its store of flags and its load of the device area. */
static bool packed_ask_kicks(struct vring *vr)
{
        if (vr->event_idx)
                store_event(vr->packed.device, encode(vr->packed.avail), VRING_PACKED_EVENT_DESC);
        else if (load_event(vr->packed.device).flags)
                store_event(vr->packed.device, 0, VRING_PACKED_EVENT_ENABLE);
        log_device(vr);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return packed_pending(vr);
}

static void packed_refuse_kicks(struct vring *vr)
{
        if (le16toh(load_event(vr->packed.device).flags) != VRING_PACKED_EVENT_DISABLE)
                store_event(vr->packed.device, 0, VRING_PACKED_EVENT_DISABLE);
        log_device(vr);
}

const struct vring_format vring_packed = {
        .name = "packed",
        .resolve = packed_resolve,
        .position = packed_position,
        .base = packed_base,
        .recorded = packed_recorded,
        .next = packed_next,
        .recall = packed_recall,
        .gather = packed_gather,
        .take = packed_take,
        .put = packed_put,
        .publish = packed_publish,
        .wants_call = packed_wants_call,
        .ask_kicks = packed_ask_kicks,
        .refuse_kicks = packed_refuse_kicks,
        .pending = packed_pending,
        .log_all = packed_log_all,
};
