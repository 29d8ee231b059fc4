/*
 * Guest memory of a pretended virtual machine: memfds, each one region, and a simple allocator in them.
 * Guest physical and user addresses are unlike each other and unlike our own mapping, so that mixing them up shows.
 */
#pragma once

#include "fd.h"
#include "vhost_user.h"

#include <stddef.h>
#include <stdint.h>

enum { FE_REGIONS_MAX = 32 };

#define FE_UVA_OFFSET UINT64_C(0x550000000000) /* uva of gpa 0 */

struct fe_region {
        struct vu_region region; /* as the back-end is told */
        struct fd fd;
        uint8_t *map;  /* of the whole file; the region begins at map + region.offset */
        uint64_t used; /* bytes given out by fe_mem_alloc */
};

struct fe_mem {
        struct fe_region part[FE_REGIONS_MAX];
        unsigned n;
};

/* A piece of guest memory: one range, seen in three ways. */
struct fe_buf {
        uint8_t *at;
        uint64_t gpa;
        uint64_t size; /* bytes */
};

/* Adds a region of `size` bytes that lies `offset` bytes (any alignment) into a new memfd. */
int fe_mem_add(struct fe_mem *mem, uint64_t gpa, uint64_t size, uint64_t offset, unsigned *ret_index);

/* Takes `size` zeroed bytes at an aligned gpa (power of two) out of region `index`, for good. -ENOSPC. */
int fe_mem_alloc(struct fe_mem *mem, unsigned index, uint64_t size, uint64_t align, struct fe_buf *ret_buf);

/* Our address of a range of guest memory within one region, or NULL. */
void *fe_mem_at(const struct fe_mem *mem, uint64_t gpa, uint64_t size);

/* The user address that the back-end was told for a gpa; 0 if it is in no region. */
uint64_t fe_mem_uva(const struct fe_mem *mem, uint64_t gpa);

/* Unmaps and closes all. */
void fe_mem_done(struct fe_mem *mem);
