/*
 * In-flight tracking of packed rings. A fetch counts once old_free_head has moved, a completion once the ring shows
 * its batch; whatever else of them is found after a crash is taken back or completed. The stores are in the order that
 * this needs; the release fences keep the compiler and the reader on another core to it.
 */
#include "inflight_packed.h"

#include "aged.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

static const uint16_t version = 1;

/* The used position and its old value lie in one word of the header, so that a crash cannot tear them. */
union used_word {
        struct {
                uint16_t used_idx, old_used_idx;
                uint8_t used_wrap, old_used_wrap, padding[2];
        } part;
        uint64_t whole;
};
static_assert(offsetof(struct vu_inflight_packed, used_idx) == 16, "the word of used positions");
static_assert(offsetof(struct vu_inflight_packed, old_used_wrap) == 21, "the word of used positions");

static void store_used(struct inflight_packed *track, struct packed_position used, struct packed_position old)
{
        const union used_word word = { .part = { used.slot, old.slot, used.wrap, old.wrap, { 0 } } };

        shared_store64((shared_u64 SHARED *) &track->header->used_idx, word.whole, __ATOMIC_RELEASE);
}

static union used_word load_used(const struct inflight_packed *track)
{
        const shared_u64 SHARED *at = (const shared_u64 SHARED *) &track->header->used_idx;

        return (union used_word){ .whole = shared_load64(at, __ATOMIC_RELAXED) };
}

static struct packed_position old_used(union used_word word)
{
        return (struct packed_position){ word.part.old_used_idx, word.part.old_used_wrap & 1 };
}

static struct packed_position new_used(union used_word word)
{
        return (struct packed_position){ word.part.used_idx, word.part.used_wrap & 1 };
}

static bool same(struct packed_position a, struct packed_position b)
{
        return a.slot == b.slot && a.wrap == b.wrap;
}

int inflight_packed_of(const struct inflight_area *area, uint32_t index, uint32_t size, struct inflight_slot *slot,
                       struct inflight_packed *ret_track)
{
        struct vu_inflight_packed SHARED *header;
        void SHARED *part;
        int r = inflight_part(area, index, size, true, &part);

        if (r < 0)
                return r;
        header = part;
        *ret_track = (struct inflight_packed){ .header = header, .slot = slot, .size = (uint16_t) size };
        if (header)
                ret_track->desc = (void SHARED *) (header + 1);
        return 0;
}

bool inflight_packed_begun(const struct inflight_packed *track)
{
        return track->header && shared_load16(&track->header->version, __ATOMIC_RELAXED) != 0;
}

static void begin_area(struct inflight_packed *track, struct packed_position used)
{
        struct vu_inflight_packed SHARED *header = track->header;

        shared_store16(&header->version, 0, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        for (unsigned i = 0; i < track->size; i++) {
                shared_store8(&track->desc[i].inflight, 0, __ATOMIC_RELAXED);
                shared_store16(&track->desc[i].next, (uint16_t) (i + 1), __ATOMIC_RELAXED);
        }
        shared_store16(&header->desc_num, track->size, __ATOMIC_RELAXED);
        shared_store16(&header->free_head, 0, __ATOMIC_RELAXED);
        shared_store16(&header->old_free_head, 0, __ATOMIC_RELAXED);
        store_used(track, used, used);
        atomic_thread_fence(memory_order_release);
        shared_store16(&header->version, version, __ATOMIC_RELAXED);
}

void inflight_packed_begin(struct inflight_packed *track, struct packed_position used)
{
        for (unsigned i = 0; i < track->size; i++)
                track->slot[i].next = (uint16_t) (i + 1);
        track->free_head = 0;
        track->n_free = track->size;
        track->counter = 0;
        if (track->header)
                begin_area(track, used);
}

int inflight_packed_look(const struct inflight_packed *track, struct packed_position *ret_at)
{
        const union used_word word = load_used(track);

        if (shared_load16(&track->header->desc_num, __ATOMIC_RELAXED) != track->size ||
            word.part.old_used_idx >= track->size)
                return -EPROTO;
        *ret_at = old_used(word);
        return 0;
}

/* What is known of each entry while the area is read. */
struct reading {
        struct inflight_packed *track;
        struct aged *list; /* the heads found so far */
        uint8_t *seen;
        struct inflight_packed_found found;
        unsigned entries; /* seen */
};

/* Enters an entry that nothing else holds; -EPROTO. */
static int see(struct reading *reading, unsigned entry, uint16_t *ret_next)
{
        if (entry >= reading->track->size || reading->seen[entry])
                return -EPROTO;
        reading->seen[entry] = 1;
        reading->entries++;
        *ret_next = shared_load16(&reading->track->desc[entry].next, __ATOMIC_RELAXED);
        reading->track->slot[entry].next = *ret_next;
        return 0;
}

static int read_free_list(struct reading *reading, uint16_t head)
{
        struct inflight_packed *track = reading->track;
        uint16_t at = head;

        while (at != track->size) {
                int r = see(reading, at, &at);

                if (r < 0)
                        return r;
        }
        track->free_head = head;
        track->n_free = (uint16_t) reading->entries;
        return 0;
}

static int read_chain(struct reading *reading, uint16_t head)
{
        const struct vu_inflight_packed_desc SHARED *desc = &reading->track->desc[head];
        uint16_t num = shared_load16(&desc->num, __ATOMIC_RELAXED), last = head, at = head;

        if (shared_load8(&desc->inflight, __ATOMIC_RELAXED) != 1 || num == 0)
                return -EPROTO;
        for (unsigned i = 0; i < num; i++) {
                int r = see(reading, at, &(uint16_t){ 0 });

                if (r < 0)
                        return r;
                last = at;
                at = reading->track->slot[at].next;
        }
        reading->track->slot[head].num = num;
        reading->track->slot[head].last = last;
        reading->track->slot[head].id = shared_load16(&reading->track->desc[last].id, __ATOMIC_RELAXED);
        reading->found.slots += num;
        reading->list[reading->found.n++] = (struct aged){ shared_load64(&desc->counter, __ATOMIC_RELAXED), head };
        return shared_load16(&desc->last, __ATOMIC_RELAXED) == last ? 0 : -EPROTO;
}

/* Every entry is free or belongs to one chain. The heads are those in flight that are not free. */
static int read_entries(struct reading *reading, uint16_t free_head)
{
        struct inflight_packed *track = reading->track;
        int r = read_free_list(reading, free_head);

        for (unsigned i = 0; r == 0 && i < track->size; i++)
                if (!reading->seen[i] && shared_load8(&track->desc[i].inflight, __ATOMIC_RELAXED))
                        r = read_chain(reading, (uint16_t) i);
        if (r == 0 && reading->entries != track->size)
                r = -EPROTO;
        return r;
}

/* Makes the area say what we have understood: new and old are one, and nothing free is in flight. */
static void write_back(struct inflight_packed *track, struct packed_position used)
{
        uint16_t at = track->free_head;

        shared_store16(&track->header->free_head, track->free_head, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        shared_store16(&track->header->old_free_head, track->free_head, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        store_used(track, used, used);
        atomic_thread_fence(memory_order_release);
        for (unsigned i = 0; i < track->n_free; i++, at = track->slot[at].next)
                shared_store8(&track->desc[at].inflight, 0, __ATOMIC_RELAXED);
}

static void list_heads(struct inflight_packed *track, const struct reading *reading, uint16_t *ret_heads)
{
        unsigned n = reading->found.n;

        aged_sort(reading->list, n);
        for (unsigned i = 0; i < n; i++)
                ret_heads[i] = reading->list[i].head;
        track->counter = n ? reading->list[n - 1].age + 1 : 0;
}

/* With the last batch, or without it; ret_heads may be NULL. */
static int read_area(struct inflight_packed *track, bool commit, uint16_t *ret_heads,
                     struct inflight_packed_found *ret_found)
{
        const struct vu_inflight_packed SHARED *header = track->header;
        const union used_word word = load_used(track);
        struct reading reading = { .track = track };
        size_t room = track->size * (sizeof(*reading.list) + sizeof(*reading.seen));
        int r = -EPROTO;

        reading.found.used = commit ? new_used(word) : old_used(word);
        if (shared_load16(&header->desc_num, __ATOMIC_RELAXED) != track->size ||
            reading.found.used.slot >= track->size)
                return r;
        reading.list = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (reading.list == MAP_FAILED)
                return -errno;
        reading.seen = (uint8_t *) (reading.list + track->size);
        r = read_entries(&reading, shared_load16(commit ? &header->free_head : &header->old_free_head,
                                                 __ATOMIC_RELAXED));
        if (r == 0) {
                if (ret_heads)
                        list_heads(track, &reading, ret_heads);
                *ret_found = reading.found;
        }
        munmap(reading.list, room);
        return r;
}

static bool has_batch(const struct inflight_packed *track)
{
        const union used_word word = load_used(track);

        return !same(new_used(word), old_used(word));
}

int inflight_packed_resume(struct inflight_packed *track, bool published, uint16_t *ret_heads,
                           struct inflight_packed_found *ret_found)
{
        int r = read_area(track, published && has_batch(track), ret_heads, ret_found);

        if (r == 0)
                write_back(track, ret_found->used);
        return r;
}

/* Behind a batch and what is still in flight lies the same place whether it was published or not. */
int inflight_packed_ahead(struct inflight_packed *track, struct inflight_packed_found *ret_found)
{
        return read_area(track, has_batch(track), NULL, ret_found);
}

static void record(struct vu_inflight_packed SHARED *header, struct vu_inflight_packed_desc SHARED *to,
                   const struct vring_packed_desc *desc, uint16_t next)
{
        shared_store64(&to->addr, le64toh(desc->addr), __ATOMIC_RELAXED);
        shared_store32(&to->len, le32toh(desc->len), __ATOMIC_RELAXED);
        shared_store16(&to->flags, le16toh(desc->flags), __ATOMIC_RELAXED);
        shared_store16(&to->id, le16toh(desc->id), __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        shared_store16(&header->free_head, next, __ATOMIC_RELAXED);
}

static void record_head(struct inflight_packed *track, uint16_t head)
{
        struct vu_inflight_packed_desc SHARED *to = &track->desc[head];

        shared_store16(&to->num, track->slot[head].num, __ATOMIC_RELAXED);
        shared_store16(&to->last, track->slot[head].last, __ATOMIC_RELAXED);
        shared_store64(&to->counter, track->counter++, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        shared_store8(&to->inflight, 1, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        shared_store16(&track->header->old_free_head, track->free_head, __ATOMIC_RELAXED);
}

void inflight_packed_take(struct inflight_packed *track, const struct vring_packed_desc *list, unsigned n)
{
        struct vu_inflight_packed SHARED *header = track->header;
        const struct inflight_slot *slot = track->slot;
        uint16_t head = track->free_head, last = head, next = head;

        for (unsigned i = 0; i < n; i++) {
                last = next;
                next = slot[last].next;
                if (header)
                        record(header, &track->desc[last], &list[i], next);
        }
        track->free_head = next;
        track->n_free = (uint16_t) (track->n_free - n);
        track->slot[head].last = last;
        track->slot[head].num = (uint16_t) n;
        track->slot[head].id = le16toh(list[n - 1].id);
        if (track->header)
                record_head(track, head);
}

unsigned inflight_packed_recall(const struct inflight_packed *track, uint16_t head, struct vring_packed_desc *ret_list,
                                unsigned most)
{
        unsigned n = track->slot[head].num;

        for (unsigned i = 0; i < n && i < most; i++, head = track->slot[head].next) {
                const struct vu_inflight_packed_desc SHARED *from = &track->desc[head];

                ret_list[i].addr = htole64(shared_load64(&from->addr, __ATOMIC_RELAXED));
                ret_list[i].len = htole32(shared_load32(&from->len, __ATOMIC_RELAXED));
                ret_list[i].id = htole16(shared_load16(&from->id, __ATOMIC_RELAXED));
                ret_list[i].flags = htole16(shared_load16(&from->flags, __ATOMIC_RELAXED));
        }
        return n;
}

static void give_back(struct inflight_packed *track, uint16_t head)
{
        uint16_t last = track->slot[head].last;

        track->slot[last].next = track->free_head;
        if (track->header) {
                shared_store16(&track->desc[last].next, track->free_head, __ATOMIC_RELAXED);
                atomic_thread_fence(memory_order_release);
                shared_store16(&track->header->free_head, head, __ATOMIC_RELAXED);
        }
        track->free_head = head;
        track->n_free = (uint16_t) (track->n_free + track->slot[head].num);
}

void inflight_packed_prepare(struct inflight_packed *track, const uint16_t *heads, unsigned n,
                             struct packed_position used)
{
        for (unsigned i = 0; i < n; i++)
                give_back(track, heads[i]);
        if (!track->header)
                return;
        atomic_thread_fence(memory_order_release);
        store_used(track, used, old_used(load_used(track)));
        atomic_thread_fence(memory_order_release);
}

void inflight_packed_settle(struct inflight_packed *track, const uint16_t *heads, unsigned n)
{
        struct packed_position used;

        if (!track->header)
                return;
        used = new_used(load_used(track));
        atomic_thread_fence(memory_order_release);
        for (unsigned i = 0; i < n; i++)
                shared_store8(&track->desc[heads[i]].inflight, 0, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        shared_store16(&track->header->old_free_head, track->free_head, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        store_used(track, used, used);
}
