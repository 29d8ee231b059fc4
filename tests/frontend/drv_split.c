/*
 * The driver of a split virtqueue.
 */
#include "drv_split.h"

#include <errno.h>
#include <stdlib.h>

struct drv_split *drv_split_of(struct drv_vring *v)
{
        return (struct drv_split *) v;
}

le16 *drv_split_used_event(struct drv_split *s)
{
        return &s->avail->ring[s->base.size];
}

le16 *drv_split_avail_event(struct drv_split *s)
{
        return (le16 *) &s->used->ring[s->base.size];
}

static void put_desc(struct vring_desc *d, const struct drv_seg *seg, uint16_t next, bool last)
{
        uint16_t flags = (seg->write ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT);

        *d = (struct vring_desc){
                .addr = htole64(seg->gpa), .len = htole32(seg->len), .flags = htole16(flags), .next = htole16(next)
        };
}

static void put_table(struct vring_desc *table, const struct drv_seg *segs, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                put_desc(&table[i], &segs[i], i + 1 < n ? i + 1 : 0, i + 1 == n);
}

static int table_of(struct drv_split *s, uint16_t head, struct vring_desc **ret_table)
{
        struct fe_buf *buf = &s->head[head].table;
        int r = 0;

        if (!buf->size)
                r = fe_mem_alloc(s->base.mem, s->base.region, DRV_TABLE_MAX * sizeof(struct vring_desc), 16, buf);
        if (!r)
                *ret_table = (struct vring_desc *) buf->at;
        return r;
}

/* Fills free descriptors starting at the free head; returns how many it took. */
static unsigned put_direct(struct drv_split *s, const struct drv_seg *segs, unsigned n, bool more)
{
        uint16_t at = s->free_head;

        for (unsigned i = 0; i < n; i++) {
                uint16_t next = le16toh(s->desc[at].next);

                put_desc(&s->desc[at], &segs[i], next, i + 1 == n && !more);
                at = next;
        }
        s->free_head = at;
        return n;
}

static unsigned put_table_desc(struct drv_split *s, uint64_t table, unsigned n)
{
        uint16_t at = s->free_head;

        s->free_head = le16toh(s->desc[at].next);
        s->desc[at].addr = htole64(table);
        s->desc[at].len = htole32(n * (uint32_t) sizeof(struct vring_desc));
        s->desc[at].flags = htole16(VRING_DESC_F_INDIRECT);
        return 1;
}

static int split_add(struct drv_vring *v, const struct drv_seg *segs, unsigned n, enum drv_how how, void *cookie)
{
        struct drv_split *s = drv_split_of(v);
        unsigned direct = how == DRV_DIRECT ? n : how == DRV_INDIRECT ? 0 : 1;
        bool tabled = direct < n;
        uint16_t head = s->free_head;
        struct vring_desc *table;
        int r;

        if (direct + tabled > s->n_free)
                return -ENOSPC;
        if (n - direct > DRV_TABLE_MAX)
                return -E2BIG;
        if (tabled) {
                r = table_of(s, head, &table);
                if (r)
                        return r;
                put_table(table, segs + direct, n - direct);
        }
        s->n_free -= put_direct(s, segs, direct, tabled);
        if (tabled)
                s->n_free -= put_table_desc(s, s->head[head].table.gpa, n - direct);
        s->head[head].cookie = cookie;
        s->head[head].busy = true;
        s->avail->ring[s->avail_idx++ & (v->size - 1)] = htole16(head);
        return 0;
}

void drv_split_show(struct drv_split *s, uint16_t head)
{
        s->avail->ring[s->avail_idx++ & (s->base.size - 1)] = htole16(head);
}

/* virtio 1.3, 2.7.13.4: notify iff the index that the device asked for lies in what was added. */
static bool split_publish(struct drv_vring *v)
{
        struct drv_split *s = drv_split_of(v);
        uint16_t from = s->shown, to = s->avail_idx, event;

        if (from == to)
                return false;
        __atomic_store_n(&s->avail->idx, htole16(to), __ATOMIC_RELEASE); /* partner: the device's acquire of idx */
        s->shown = to;
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* partner: the device's fence after it set avail_event or flags */
        if (!v->event_idx)
                return !(le16toh(__atomic_load_n(&s->used->flags, __ATOMIC_RELAXED)) & VRING_USED_F_NO_NOTIFY);
        event = le16toh(__atomic_load_n(drv_split_avail_event(s), __ATOMIC_RELAXED));
        return (uint16_t) (to - event - 1) < (uint16_t) (to - from);
}

static bool split_pending(const struct drv_vring *v)
{
        const struct drv_split *s = (const struct drv_split *) v;

        return le16toh(__atomic_load_n(&s->used->idx, __ATOMIC_ACQUIRE)) != s->used_idx;
}

static void free_chain(struct drv_split *s, uint16_t head)
{
        uint16_t at = head, n = 1;

        while (le16toh(s->desc[at].flags) & VRING_DESC_F_NEXT) {
                at = le16toh(s->desc[at].next);
                n++;
        }
        s->desc[at].next = htole16(s->free_head);
        s->free_head = head;
        s->n_free += n;
        s->head[head].busy = false;
}

static int split_pop(struct drv_vring *v, struct drv_used *ret_used)
{
        struct drv_split *s = drv_split_of(v);
        const struct vring_used_elem *e = &s->used->ring[s->used_idx & (v->size - 1)];
        uint32_t head;

        if (!split_pending(v))
                return 0;
        head = le32toh(e->id);
        if (head >= v->size || !s->head[head].busy)
                return -EPROTO;
        *ret_used = (struct drv_used){ .cookie = s->head[head].cookie, .len = le32toh(e->len) };
        s->used_idx++;
        free_chain(s, head);
        return 1;
}

/* Not wanting calls: by the flag, or by an event index half a lap away. */
static void split_want_calls(struct drv_vring *v, bool on)
{
        struct drv_split *s = drv_split_of(v);
        uint16_t event = on ? s->used_idx : s->used_idx + 0x8000;

        if (v->event_idx)
                __atomic_store_n(drv_split_used_event(s), htole16(event), __ATOMIC_RELAXED);
        else
                __atomic_store_n(&s->avail->flags, htole16(on ? 0 : VRING_AVAIL_F_NO_INTERRUPT), __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* partner: the device's fence between used.idx and used_event */
}

static uint32_t split_base(const struct drv_vring *v)
{
        return ((const struct drv_split *) v)->shown;
}

static uint32_t split_used_base(const struct drv_vring *v)
{
        return le16toh(((const struct drv_split *) v)->used->idx);
}

static void split_rebase(struct drv_vring *v, uint16_t idx)
{
        struct drv_split *s = drv_split_of(v);

        s->avail_idx = s->shown = s->used_idx = idx;
        s->avail->idx = htole16(idx);
        s->used->idx = htole16(idx);
        if (v->event_idx)
                *drv_split_used_event(s) = *drv_split_avail_event(s) = htole16(idx);
}

static void split_free(struct drv_vring *v)
{
        struct drv_split *s = drv_split_of(v);

        free(s->head);
        free(s);
}

static const struct drv_format split_format = {
        .add = split_add,
        .publish = split_publish,
        .pop = split_pop,
        .pending = split_pending,
        .want_calls = split_want_calls,
        .base = split_base,
        .used_base = split_used_base,
        .rebase = split_rebase,
        .free = split_free,
};

static int place_ring(struct drv_split *s, struct drv_place place)
{
        struct drv_vring *v = &s->base;
        struct fe_buf desc, avail, used;
        int r = drv_place_part(v->mem, place, vring_desc_bytes(v->size), 16, &desc);

        if (!r)
                r = drv_place_part(v->mem, place, vring_avail_bytes(v->size), 2, &avail);
        if (!r)
                r = drv_place_part(v->mem, place, vring_used_bytes(v->size), 4, &used);
        if (r)
                return r;
        v->desc = desc.gpa;
        v->driver = avail.gpa;
        v->device = used.gpa;
        s->desc = (struct vring_desc *) desc.at;
        s->avail = (struct vring_avail *) avail.at;
        s->used = (struct vring_used *) used.at;
        return 0;
}

int drv_split_new(struct fe_mem *mem, struct drv_place place, uint32_t index, uint32_t size, bool event_idx,
                  struct drv_vring **ret_vring)
{
        struct drv_split *s = calloc(1, sizeof(*s));
        int r = -ENOMEM;

        if (!s)
                return r;
        s->base = (struct drv_vring){ .format = &split_format,
                                      .mem = mem,
                                      .region = place.region,
                                      .index = index,
                                      .size = size,
                                      .event_idx = event_idx,
                                      .kick = FD_NONE,
                                      .call = FD_NONE,
                                      .err = FD_NONE };
        s->head = calloc(size, sizeof(*s->head));
        if (s->head)
                r = place_ring(s, place);
        if (!r)
                r = drv_vring_init(&s->base);
        if (r) {
                drv_free(&s->base);
                return r;
        }
        s->n_free = size;
        for (uint32_t i = 0; i < size; i++)
                s->desc[i].next = htole16(i + 1 < size ? i + 1 : 0);
        *ret_vring = &s->base;
        return 0;
}
