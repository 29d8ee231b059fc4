/*
 * The one door to guest memory. Three address spaces are three types; what comes out is a span: bytes of ours that
 * were checked to lie in one region.
 */
#pragma once

#include "ipc.h"
#include "shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct gpa {
        uint64_t at; /* guest physical */
};

struct uva {
        uint64_t at; /* front-end user */
};

struct span {
        void SHARED *at;
        uint64_t len;
        struct gpa gpa; /* what `at` is to the guest */
};

/* A piece of guest memory without a look at it: what the dirty log wants to know of. */
struct gpa_range {
        struct gpa from;
        uint64_t len;
};

struct region {
        struct gpa gpa;
        struct uva uva;
        uint64_t len;
        char SHARED *mapped; /* the region's first byte */
        void *map;    /* what was mapped for it: whole pages of its file */
        size_t map_len;
        uint64_t device, inode, offset; /* of its file: what makes two regions the same */
        uint32_t slot;
        bool registered; /* with the userfaultfd (postcopy.c) */
};

struct iotlb;

/* Sorted by gpa. Read by all loops, changed only while they are parked. */
struct guest_mem {
        const struct iotlb *iotlb; /* NULL: the guest's addresses are its physical ones */
        struct region *region; /* room for VU_MEM_SLOTS */
        unsigned n;
};

/* Empty; owns lazily filled room for all slots. -errno. */
int guest_mem_init(struct guest_mem *mem);

/* Unmaps everything. */
void guest_mem_done(struct guest_mem *mem);

/*
 * Maps one more region; the fd is borrowed. -EINVAL: empty, wraps, no regular file, longer than its file; -EEXIST:
 * slot in use or overlap; -ENOSPC: no slot; vhost-user, "Memory mapping".
 */
int guest_mem_add(struct guest_mem *mem, uint32_t slot, const struct ipc_region *what, int fd);

/* Is there a region in this slot? */
bool guest_mem_has(const struct guest_mem *mem, uint32_t slot);

/* Where the region of a slot lies in this process; 0: there is none. */
uint64_t guest_mem_where(const struct guest_mem *mem, uint32_t slot);

/* Unmaps the region of a slot. -ENOENT. */
int guest_mem_del(struct guest_mem *mem, uint32_t slot);

/*
 * Makes the successor of a map: slots 0..n-1 from the table, sharing mappings that are the same. `mem` stays as it
 * is until guest_mem_commit(); guest_mem_abandon() gives the successor up. -errno as guest_mem_add().
 */
int guest_mem_plan(const struct guest_mem *mem, const struct ipc_mem_table *table, const struct fd *fds,
                   struct guest_mem *ret_next);
void guest_mem_commit(struct guest_mem *mem, struct guest_mem *next);
void guest_mem_abandon(const struct guest_mem *mem, struct guest_mem *next);

/* Would a commit unmap something that `mem` has? Then nothing may be in flight. */
bool guest_mem_drops(const struct guest_mem *mem, const struct guest_mem *next);

/* The bytes [from, from + len), which must lie in one region. -EFAULT. */
int guest_span(const struct guest_mem *mem, struct gpa from, uint64_t len, struct span *ret_span);

/* The same, but stops at the region's end: 1..len bytes; len must not be 0. -EFAULT: not even the first byte. */
int guest_span_part(const struct guest_mem *mem, struct gpa from, uint64_t len, struct span *ret_span);

/* The same as guest_span by user address, for the parts of a vring; aligned to `align` bytes, else -EINVAL. */
int guest_span_user(const struct guest_mem *mem, struct uva from, uint64_t len, unsigned align,
                    struct span *ret_span);

/*
 * The same as guest_span_part for an address as the driver gives it: guest physical, or an iova. `access` is of enum
 * ipc_access. -EAGAIN: what the iova stands for is not known.
 */
int guest_span_dma(const struct guest_mem *mem, struct gpa from, uint64_t len, uint32_t access,
                   struct span *ret_span);

/* The same for a part of a vring: all of it, aligned, given by user address or iova. -EAGAIN, -EFAULT, -EINVAL. */
int guest_span_ring(const struct guest_mem *mem, struct uva from, uint64_t len, unsigned align, uint32_t access,
                    struct span *ret_span);

/* The first address in [from, from + len) that guest_span_dma does not know; from + len if there is none. */
uint64_t guest_first_miss(const struct guest_mem *mem, struct gpa from, uint64_t len, uint32_t access);

/* Copies out of guest memory, from an address as the driver gives it, across regions. -EFAULT, -EAGAIN. */
int guest_read(const struct guest_mem *mem, struct gpa from, void *to, uint64_t len);
