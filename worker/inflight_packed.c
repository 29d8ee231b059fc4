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
#include <string.h>
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

typedef uint64_t __attribute__((may_alias)) header_word;

static void store_used(struct inflight_packed *track, struct packed_position used, struct packed_position old)
{
        const union used_word word = { .part = { used.slot, old.slot, used.wrap, old.wrap, { 0 } } };

        __atomic_store_n((header_word *) &track->header->used_idx, word.whole, __ATOMIC_RELEASE);
}

static struct packed_position old_used(const struct vu_inflight_packed *header)
{
        return (struct packed_position){ header->old_used_idx, header->old_used_wrap & 1 };
}

static struct packed_position new_used(const struct vu_inflight_packed *header)
{
        return (struct packed_position){ header->used_idx, header->used_wrap & 1 };
}

static bool same(struct packed_position a, struct packed_position b)
{
        return a.slot == b.slot && a.wrap == b.wrap;
}

/* One copy, which is judged: the front-end may rewrite the header meanwhile. */
static struct vu_inflight_packed header_copy(const struct inflight_packed *track)
{
        const volatile uint64_t *from = (const volatile header_word *) track->header;
        union {
                uint64_t word[4];
                struct vu_inflight_packed header;
        } copy = { .word = { from[0], from[1], from[2], from[3] } };

        return copy.header;
}

int inflight_packed_of(const struct inflight_area *area, uint32_t index, uint32_t size, struct inflight_slot *slot,
                       struct inflight_packed *ret_track)
{
        struct vu_inflight_packed *header;
        int r = inflight_part(area, index, size, true, (void **) &header);

        if (r < 0)
                return r;
        *ret_track = (struct inflight_packed){ .header = header, .slot = slot, .size = (uint16_t) size,
                                               .desc = header ? (void *) (header + 1) : NULL };
        return 0;
}

bool inflight_packed_begun(const struct inflight_packed *track)
{
        return track->header && *(volatile uint16_t *) &track->header->version != 0;
}

static void begin_area(struct inflight_packed *track, struct packed_position used)
{
        track->header->version = 0;
        atomic_thread_fence(memory_order_release);
        for (unsigned i = 0; i < track->size; i++) {
                track->desc[i].inflight = 0;
                track->desc[i].next = (uint16_t) (i + 1);
        }
        track->header->features = 0;
        track->header->desc_num = track->size;
        track->header->free_head = track->header->old_free_head = 0;
        store_used(track, used, used);
        atomic_thread_fence(memory_order_release);
        track->header->version = version;
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
        const struct vu_inflight_packed header = header_copy(track);

        if (header.desc_num != track->size || header.old_used_idx >= track->size)
                return -EPROTO;
        *ret_at = old_used(&header);
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
        *ret_next = *(volatile uint16_t *) &reading->track->desc[entry].next;
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
        const volatile struct vu_inflight_packed_desc *desc = &reading->track->desc[head];
        uint16_t num = desc->num, last = head, at = head;

        if (desc->inflight != 1 || num == 0)
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
        reading->track->slot[head].id = *(volatile uint16_t *) &reading->track->desc[last].id;
        reading->found.slots += num;
        reading->list[reading->found.n++] = (struct aged){ desc->counter, head };
        return desc->last == last ? 0 : -EPROTO;
}

/* Every entry is free or belongs to one chain. The heads are those in flight that are not free. */
static int read_entries(struct reading *reading, uint16_t free_head)
{
        struct inflight_packed *track = reading->track;
        int r = read_free_list(reading, free_head);

        for (unsigned i = 0; r == 0 && i < track->size; i++)
                if (!reading->seen[i] && *(volatile uint8_t *) &track->desc[i].inflight)
                        r = read_chain(reading, (uint16_t) i);
        if (r == 0 && reading->entries != track->size)
                r = -EPROTO;
        return r;
}

/* Makes the area say what we have understood: new and old are one, and nothing free is in flight. */
static void write_back(struct inflight_packed *track, struct packed_position used)
{
        uint16_t at = track->free_head;

        track->header->free_head = track->free_head;
        atomic_thread_fence(memory_order_release);
        track->header->old_free_head = track->free_head;
        atomic_thread_fence(memory_order_release);
        store_used(track, used, used);
        atomic_thread_fence(memory_order_release);
        for (unsigned i = 0; i < track->n_free; i++, at = track->slot[at].next)
                track->desc[at].inflight = 0;
}

int inflight_packed_resume(struct inflight_packed *track, bool published, uint16_t *ret_heads,
                           struct inflight_packed_found *ret_found)
{
        const struct vu_inflight_packed header = header_copy(track);
        bool commit = published && !same(new_used(&header), old_used(&header));
        struct reading reading = { .track = track };
        size_t room = track->size * (sizeof(*reading.list) + sizeof(*reading.seen));
        int r = -EPROTO;

        reading.found.used = commit ? new_used(&header) : old_used(&header);
        if (header.desc_num != track->size || reading.found.used.slot >= track->size)
                return r;
        reading.list = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (reading.list == MAP_FAILED)
                return -errno;
        reading.seen = (uint8_t *) (reading.list + track->size);
        r = read_entries(&reading, commit ? header.free_head : header.old_free_head);
        if (r == 0) {
                aged_sort(reading.list, reading.found.n);
                for (unsigned i = 0; i < reading.found.n; i++)
                        ret_heads[i] = reading.list[i].head;
                track->counter = reading.found.n ? reading.list[reading.found.n - 1].age + 1 : 0;
                write_back(track, reading.found.used);
                *ret_found = reading.found;
        }
        munmap(reading.list, room);
        return r;
}

static void record(struct inflight_packed *track, uint16_t entry, const struct vring_packed_desc *desc)
{
        struct vu_inflight_packed_desc *to = &track->desc[entry];

        to->addr = le64toh(desc->addr);
        to->len = le32toh(desc->len);
        to->flags = le16toh(desc->flags);
        to->id = le16toh(desc->id);
        atomic_thread_fence(memory_order_release);
        track->header->free_head = track->slot[entry].next;
}

static void record_head(struct inflight_packed *track, uint16_t head)
{
        struct vu_inflight_packed_desc *to = &track->desc[head];

        to->num = track->slot[head].num;
        to->last = track->slot[head].last;
        to->counter = track->counter++;
        atomic_thread_fence(memory_order_release);
        to->inflight = 1;
        atomic_thread_fence(memory_order_release);
        track->header->old_free_head = track->free_head;
}

void inflight_packed_take(struct inflight_packed *track, const struct vring_packed_desc *list, unsigned n)
{
        uint16_t head = track->free_head, last = head;

        for (unsigned i = 0; i < n; i++) {
                last = track->free_head;
                if (track->header)
                        record(track, last, &list[i]);
                track->free_head = track->slot[last].next;
        }
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
                const volatile struct vu_inflight_packed_desc *from = &track->desc[head];

                ret_list[i] = (struct vring_packed_desc){ htole64(from->addr), htole32(from->len), htole16(from->id),
                                                          htole16(from->flags) };
        }
        return n;
}

static void give_back(struct inflight_packed *track, uint16_t head)
{
        uint16_t last = track->slot[head].last;

        track->slot[last].next = track->free_head;
        if (track->header) {
                track->desc[last].next = track->free_head;
                atomic_thread_fence(memory_order_release);
                track->header->free_head = head;
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
        store_used(track, used, old_used(track->header));
        atomic_thread_fence(memory_order_release);
}

void inflight_packed_settle(struct inflight_packed *track, const uint16_t *heads, unsigned n)
{
        struct packed_position used;

        if (!track->header)
                return;
        used = new_used(track->header);
        atomic_thread_fence(memory_order_release);
        for (unsigned i = 0; i < n; i++)
                track->desc[heads[i]].inflight = 0;
        atomic_thread_fence(memory_order_release);
        track->header->old_free_head = track->free_head;
        atomic_thread_fence(memory_order_release);
        store_used(track, used, used);
}
