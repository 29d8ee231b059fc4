/*
 * What the kernel says about an open disk.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

enum {
        PROBE_BLOCK_MAX = 4096, /* bytes; the largest block that guests are told */
        PROBE_PHYSICAL_MAX = 65536,
};

struct probe {
        uint64_t bytes;
        uint32_t logical, physical; /* powers of two; physical >= logical */
        uint32_t optimal;           /* bytes; 0: unknown */
};

/* Size and blocks, in bytes. -errno of the kernel. */
int probe_geometry(int disk, const struct stat *st, struct probe *ret_probe);

/*
 * Alignment in bytes of buffers and of offsets for a disk opened with O_DIRECT; a kernel before 6.1 doesn't tell, then
 * it's the logical block. -EOPNOTSUPP: no direct I/O.
 */
int probe_direct(int disk, const struct probe *probe, uint32_t *ret_memory, uint32_t *ret_offset);

/* Can blocks be given back? The disk must be writable. Changes nothing. */
bool probe_discard(int disk, const struct stat *st);
