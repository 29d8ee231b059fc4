/*
 * In-flight tracking of packed rings. A packed ring names a request by a number of the driver's choice, so it is
 * the entries of the in-flight area that number ours: the first entry of a chain is its head. Which entries are free is
 * kept privately; the area mirrors it for a successor (vhost-user, "Inflight I/O tracking").
 */
#pragma once

#include "inflight.h"
#include "virtio.h"

/* A place in a packed ring. */
struct packed_position {
        uint16_t slot;
        bool wrap; /* the lap's wrap counter */
};

/* An entry as we know it; all but `next` belong to the first one of a chain. */
struct inflight_slot {
        uint16_t next; /* of the free list or of the chain; size: the free list's end */
        uint16_t last; /* entry of the chain */
        uint16_t num;  /* entries of the chain, and slots of the ring */
        uint16_t id;   /* the driver's name for it */
        bool writable; /* has a part that the device may write */
};

/* One vring's part of the area. */
struct inflight_packed {
        struct vu_inflight_packed SHARED *header; /* NULL: not tracked */
        struct vu_inflight_packed_desc SHARED *desc;
        struct inflight_slot *slot; /* [size], private */
        uint64_t counter;           /* of the next request */
        uint16_t size, free_head, n_free;
};

/* What a predecessor left. */
struct inflight_packed_found {
        struct packed_position used;
        unsigned slots; /* of the ring, from `used` on: what is in flight */
        unsigned n;     /* requests in flight */
};

/* Takes the part of one vring; `slot` is room for size entries and stays the caller's. -EINVAL: outside of the area. */
int inflight_packed_of(const struct inflight_area *area, uint32_t index, uint32_t size, struct inflight_slot *slot,
                       struct inflight_packed *ret_track);

/* Was the area ever begun? */
bool inflight_packed_begun(const struct inflight_packed *track);

/* Begins anew: nothing is in flight. */
void inflight_packed_begin(struct inflight_packed *track, struct packed_position used);

/* Where the last batch of a predecessor begins: if it is used in the ring, it was published. -EPROTO. */
int inflight_packed_look(const struct inflight_packed *track, struct packed_position *ret_at);

/*
 * Commits the last batch of a predecessor, or rolls it back, and finds what is in flight, oldest first; ret_heads has
 * room for `size` heads, each below size. -EPROTO: the area contradicts itself; it is unchanged then.
 */
int inflight_packed_resume(struct inflight_packed *track, bool published, uint16_t *ret_heads,
                           struct inflight_packed_found *ret_found);

/* Finds what is in flight without the ring, and as if the last batch was published; changes nothing. -EPROTO. */
int inflight_packed_ahead(struct inflight_packed *track, struct inflight_packed_found *ret_found);

/* A chain of n <= n_free descriptors was taken; its head was free_head. */
void inflight_packed_take(struct inflight_packed *track, const struct vring_packed_desc *list, unsigned n);

/* Copies the descriptors of a chain that a predecessor took, at most `most`; returns how many it has, at most size. */
unsigned inflight_packed_recall(const struct inflight_packed *track, uint16_t head, struct vring_packed_desc *ret_list,
                                unsigned most);

/* Around the store of the flags that publish n requests: prepare before it, settle after it. */
void inflight_packed_prepare(struct inflight_packed *track, const uint16_t *heads, unsigned n,
                             struct packed_position used);
void inflight_packed_settle(struct inflight_packed *track, const uint16_t *heads, unsigned n);
