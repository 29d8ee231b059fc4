/*
 * What a block request asks for, judged: the part of virtio-blk that reads what the guest wrote (virtio 1.3, 5.2.6).
 */
#pragma once

#include "chain.h"

enum {
        BLK_RANGES_MAX = 16,              /* segments of DISCARD and WRITE_ZEROES */
        BLK_RANGE_SECTORS_MAX = 1 << 22,  /* sectors of one segment */
};

/* What requests are judged by. */
struct blk_limits {
        uint64_t capacity;   /* bytes */
        uint32_t block_size; /* bytes */
        bool read_only, discard, write_zeroes;
};

struct blk_range {
        uint64_t offset, len; /* bytes */
        bool unmap;
};

#define BLK_NO_TYPE UINT32_MAX /* its header is too short to have one */

struct blk_order {
        uint32_t type;
        uint64_t offset; /* bytes: IN, OUT */
        unsigned n_ranges;
        struct blk_range range[BLK_RANGES_MAX]; /* DISCARD, WRITE_ZEROES */
};

/*
 * Reads header and segments from a chain whose status byte was taken away. Returns VIRTIO_BLK_S_OK with *ret_order
 * filled, else the status to answer, and only the type is filled. What remains in the chain's cursors is the data.
 */
uint8_t blk_judge(const struct blk_limits *limits, struct chain *chain, struct blk_order *ret_order);
