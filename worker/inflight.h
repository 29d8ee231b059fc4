/*
 * In-flight tracking of split rings: which requests were taken and not completed, kept where a crash of ours cannot
 * reach it (vhost-user, "Inflight I/O tracking"). The front-end can write the area too: nothing read from it is
 * believed.
 */
#pragma once

#include "ipc.h"
#include "shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The mapped area of all vrings. */
struct inflight_area {
        char SHARED *base; /* NULL: no area, no tracking */
        void *map;
        size_t map_len;
        uint64_t len; /* bytes from base */
        uint32_t queues, queue_size;
};

/* One vring's part of it. */
struct inflight {
        struct vu_inflight_split SHARED *header; /* NULL: not tracked */
        struct vu_inflight_split_desc SHARED *desc;
        uint64_t counter; /* of the next request */
        uint16_t size;
};

/* Maps an area; the fd is borrowed. -EINVAL: too small for what it claims, no regular file, unaligned. */
int inflight_area_map(const struct ipc_inflight *what, int fd, struct inflight_area *ret_area);
void inflight_area_done(struct inflight_area *area);

/*
 * The device's mode (device.h), for the worker of a next connection: in the word `features` of the first vring's part,
 * which is 0 in an area that nobody has used. 0 without an area.
 */
uint64_t inflight_area_mode(const struct inflight_area *area);
void inflight_area_set_mode(const struct inflight_area *area, uint64_t mode);

/*
 * Where the part of one vring of `size` entries begins, NULL without an area. -EINVAL: outside of the area, which may
 * be large enough for one format of vrings and not for the other.
 */
int inflight_part(const struct inflight_area *area, uint32_t index, uint32_t size, bool packed,
                  void SHARED **ret_part);

/* The same for split rings; without an area, one that tracks nothing. */
int inflight_of(const struct inflight_area *area, uint32_t index, uint32_t size, struct inflight *ret_inflight);

/* Was it ever begun? */
bool inflight_begun(const struct inflight *inflight);

/* Makes the part of one vring, of either format, as if it was never begun; nothing without an area. -EINVAL: outside. */
int inflight_forget(const struct inflight_area *area, uint32_t index, uint32_t size, bool packed);

/* Begins anew: nothing is in flight. */
void inflight_begin(struct inflight *inflight, uint16_t used_idx);

/*
 * Completes what a predecessor left half done and finds what it had taken, oldest first; ret_heads has room for
 * `size` heads, each below size. -EPROTO: the area contradicts itself or the vring.
 */
int inflight_resume(struct inflight *inflight, uint16_t used_idx, uint16_t *ret_heads, unsigned *ret_n);

/* The avail index behind all that was taken, as far as one can tell without the ring. */
uint16_t inflight_ahead(const struct inflight *inflight);

/* A request was taken. */
void inflight_take(struct inflight *inflight, uint16_t head);

/* Around the store of the used index that publishes n requests: prepare before it, settle after it. */
void inflight_prepare(struct inflight *inflight, const uint16_t *heads, unsigned n);
void inflight_settle(struct inflight *inflight, const uint16_t *heads, unsigned n, uint16_t used_idx);
