/*
 * The driver of a packed virtqueue.
 */
#include "drv_packed.h"

#include <errno.h>
#include <stdlib.h>

enum { TURN = VRING_PACKED_DESC_F_AVAIL | VRING_PACKED_DESC_F_USED };

struct drv_packed *drv_packed_of(struct drv_vring *v)
{
        return (struct drv_packed *) v;
}

uint16_t drv_packed_turn(struct drv_packed_at at)
{
        return at.wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED;
}

struct drv_packed_at drv_packed_after(struct drv_packed_at at, unsigned n, uint32_t size)
{
        unsigned slot = at.slot + n;

        return slot < size ? (struct drv_packed_at){ (uint16_t) slot, at.wrap }
                           : (struct drv_packed_at){ (uint16_t) (slot - size), !at.wrap };
}

static uint16_t encode(struct drv_packed_at at)
{
        return at.slot | (at.wrap ? VRING_PACKED_WRAP : 0);
}

static bool same(struct drv_packed_at a, struct drv_packed_at b)
{
        return encode(a) == encode(b);
}

static void put_desc(struct vring_packed_desc *d, uint64_t addr, uint32_t len, uint16_t id)
{
        d->addr = htole64(addr);
        d->len = htole32(len);
        d->id = htole16(id);
}

/* Fills the next slot. The flags of the first one that is not shown yet wait for publish. */
static void put_slot(struct drv_packed *p, uint64_t addr, uint32_t len, uint16_t id, uint16_t flags)
{
        put_desc(&p->desc[p->avail.slot], addr, len, id);
        flags |= drv_packed_turn(p->avail);
        if (same(p->avail, p->shown))
                p->hidden_flags = flags;
        else
                __atomic_store_n(&p->desc[p->avail.slot].flags, htole16(flags), __ATOMIC_RELAXED);
        p->avail = drv_packed_after(p->avail, 1, p->base.size);
        p->n_free--;
}

static uint16_t flag_of(const struct drv_seg *seg)
{
        return seg->write ? VRING_DESC_F_WRITE : 0;
}

static int put_table(struct drv_packed *p, const struct drv_seg *segs, unsigned n, struct fe_buf *table)
{
        struct vring_packed_desc *desc;
        int r = 0;

        if (!table->size)
                r = fe_mem_alloc(p->base.mem, p->base.region, DRV_TABLE_MAX * sizeof(*desc), 16, table);
        if (r)
                return r;
        desc = (struct vring_packed_desc *) table->at;
        for (unsigned i = 0; i < n; i++) {
                put_desc(&desc[i], segs[i].gpa, segs[i].len, 0);
                desc[i].flags = htole16(flag_of(&segs[i]));
        }
        return 0;
}

static int packed_add(struct drv_vring *v, const struct drv_seg *segs, unsigned n, enum drv_how how, void *cookie)
{
        struct drv_packed *p = drv_packed_of(v);
        unsigned direct = how == DRV_DIRECT ? n : how == DRV_INDIRECT ? 0 : 1;
        bool tabled = direct < n;
        struct drv_packed_head *head;
        uint16_t id;
        int r;

        if (direct + tabled > p->n_free || !p->n_ids)
                return -ENOSPC;
        if (n - direct > DRV_TABLE_MAX)
                return -E2BIG;
        id = p->ids[p->n_ids - 1];
        head = &p->head[id];
        if (tabled) {
                r = put_table(p, segs + direct, n - direct, &head->table);
                if (r)
                        return r;
        }
        p->n_ids--;
        for (unsigned i = 0; i < direct; i++)
                put_slot(p, segs[i].gpa, segs[i].len, id,
                         flag_of(&segs[i]) | (i + 1 < direct || tabled ? VRING_DESC_F_NEXT : 0));
        if (tabled)
                put_slot(p, head->table.gpa, (n - direct) * (uint32_t) sizeof(struct vring_packed_desc), id,
                         VRING_DESC_F_INDIRECT);
        head->cookie = cookie;
        head->busy = true;
        head->num = (uint16_t) (direct + tabled);
        head->writable = false;
        for (unsigned i = 0; i < n; i++)
                head->writable |= segs[i].write && segs[i].len;
        return 0;
}

/* virtio 1.3, 2.8.21.3: notify iff the slot that the device asked for lies in what was added. */
static bool packed_publish(struct drv_vring *v)
{
        struct drv_packed *p = drv_packed_of(v);
        struct drv_packed_at from = p->shown, to = p->avail;
        uint16_t event, flags;
        int at, old;

        if (same(from, to))
                return false;
        __atomic_store_n(&p->desc[from.slot].flags, htole16(p->hidden_flags), __ATOMIC_RELEASE); /* partner: the
                                                                                                    device's acquire */
        p->shown = to;
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* partner: the device's fence after it set its event area */
        flags = le16toh(__atomic_load_n(&p->device->flags, __ATOMIC_ACQUIRE));
        if (flags != VRING_PACKED_EVENT_DESC || !v->event_idx)
                return flags != VRING_PACKED_EVENT_DISABLE;
        event = le16toh(__atomic_load_n(&p->device->off_wrap, __ATOMIC_RELAXED));
        at = event & ~VRING_PACKED_WRAP;
        if (!(event & VRING_PACKED_WRAP) == to.wrap)
                at -= (int) v->size;
        old = from.slot - (from.wrap == to.wrap ? 0 : (int) v->size);
        return at >= old && at < to.slot;
}

static uint16_t used_flags(const struct drv_packed *p)
{
        return le16toh(__atomic_load_n(&p->desc[p->used.slot].flags, __ATOMIC_ACQUIRE));
}

static bool packed_pending(const struct drv_vring *v)
{
        const struct drv_packed *p = (const struct drv_packed *) v;

        return p->n_free < v->size && (used_flags(p) & TURN) == (p->used.wrap ? TURN : 0);
}

static int packed_pop(struct drv_vring *v, struct drv_used *ret_used)
{
        struct drv_packed *p = drv_packed_of(v);
        const struct vring_packed_desc *desc = &p->desc[p->used.slot];
        struct drv_packed_head *head;
        uint16_t id;

        if (!packed_pending(v))
                return 0;
        id = le16toh(desc->id);
        if (id >= v->size || !p->head[id].busy)
                return -EPROTO;
        head = &p->head[id];
        if (!!(used_flags(p) & VRING_DESC_F_WRITE) != head->writable)
                return -EPROTO;
        *ret_used = (struct drv_used){ .cookie = head->cookie, .len = le32toh(desc->len) };
        p->used = drv_packed_after(p->used, head->num, v->size);
        p->n_free += head->num;
        p->ids[p->n_ids++] = id;
        head->busy = false;
        return 1;
}

static void packed_want_calls(struct drv_vring *v, bool on)
{
        struct drv_packed *p = drv_packed_of(v);
        uint16_t flags = !on ? VRING_PACKED_EVENT_DISABLE : v->event_idx ? VRING_PACKED_EVENT_DESC
                                                                         : VRING_PACKED_EVENT_ENABLE;

        __atomic_store_n(&p->driver->off_wrap, htole16(encode(p->used)), __ATOMIC_RELAXED);
        __atomic_store_n(&p->driver->flags, htole16(flags), __ATOMIC_RELEASE);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* partner: the device's fence between its flags and our area */
}

static uint32_t packed_base(const struct drv_vring *v)
{
        const struct drv_packed *p = (const struct drv_packed *) v;

        return encode(p->shown) | (uint32_t) encode(p->shown) << 16;
}

static uint32_t packed_used_base(const struct drv_vring *v)
{
        const struct drv_packed *p = (const struct drv_packed *) v;

        return encode(p->used) | (uint32_t) encode(p->used) << 16;
}

/* As it is when idx descriptors have been used in it, all of them one by one. */
static void packed_rebase(struct drv_vring *v, uint16_t idx)
{
        struct drv_packed *p = drv_packed_of(v);
        struct drv_packed_at at = { (uint16_t) (idx % v->size), !(idx / v->size & 1) };

        for (uint32_t i = 0; i < v->size; i++)
                p->desc[i].flags = htole16((i < at.slot) == at.wrap ? TURN : 0);
        p->avail = p->shown = p->used = at;
        *p->driver = *p->device = (struct vring_packed_event){ htole16(encode(at)), 0 };
}

static void packed_free(struct drv_vring *v)
{
        struct drv_packed *p = drv_packed_of(v);

        free(p->head);
        free(p->ids);
        free(p);
}

static const struct drv_format packed_format = {
        .add = packed_add,
        .publish = packed_publish,
        .pop = packed_pop,
        .pending = packed_pending,
        .want_calls = packed_want_calls,
        .base = packed_base,
        .used_base = packed_used_base,
        .rebase = packed_rebase,
        .free = packed_free,
};

static int place_ring(struct drv_packed *p, struct drv_place place)
{
        struct drv_vring *v = &p->base;
        struct fe_buf desc, driver, device;
        int r = drv_place_part(v->mem, place, v->size * sizeof(struct vring_packed_desc), 16, &desc);

        if (!r)
                r = drv_place_part(v->mem, place, sizeof(struct vring_packed_event), 4, &driver);
        if (!r)
                r = drv_place_part(v->mem, place, sizeof(struct vring_packed_event), 4, &device);
        if (r)
                return r;
        v->desc = desc.gpa;
        v->driver = driver.gpa;
        v->device = device.gpa;
        p->desc = (struct vring_packed_desc *) desc.at;
        p->driver = (struct vring_packed_event *) driver.at;
        p->device = (struct vring_packed_event *) device.at;
        return 0;
}

int drv_packed_new(struct fe_mem *mem, struct drv_place place, uint32_t index, uint32_t size, bool event_idx,
                   struct drv_vring **ret_vring)
{
        struct drv_packed *p = calloc(1, sizeof(*p));
        int r = -ENOMEM;

        if (!p)
                return r;
        p->base = (struct drv_vring){ .format = &packed_format, .mem = mem, .region = place.region, .index = index,
                                      .size = size, .event_idx = event_idx, .kick = FD_NONE, .call = FD_NONE,
                                      .err = FD_NONE };
        p->head = calloc(size, sizeof(*p->head));
        p->ids = calloc(size, sizeof(*p->ids));
        if (p->head && p->ids)
                r = place_ring(p, place);
        if (!r)
                r = drv_vring_init(&p->base);
        if (r) {
                drv_free(&p->base);
                return r;
        }
        p->n_free = (uint16_t) size;
        for (; p->n_ids < size; p->n_ids++)
                p->ids[p->n_ids] = p->n_ids;
        packed_rebase(&p->base, 0);
        *ret_vring = &p->base;
        return 0;
}
