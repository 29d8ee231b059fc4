/*
 * Virtio constants and layouts shared by the policy, the session, the worker and the tests.
 * Little endian in memory (VERSION_1 always).  Source: virtio 1.3.
 */
#pragma once

#include <assert.h>
#include <endian.h>
#include <stdint.h>

/* Little-endian as stored; read with leNtoh(), write with htoleN(). */
typedef uint16_t le16;
typedef uint32_t le32;
typedef uint64_t le64;

/* virtio 1.3, 5: device ids. */
enum {
        VIRTIO_ID_NET = 1,
        VIRTIO_ID_BLOCK = 2,
        VIRTIO_ID_CONSOLE = 3,
        VIRTIO_ID_RNG = 4,
};

/* virtio 1.3, 6: reserved feature bits. */
enum {
        VIRTIO_F_NOTIFY_ON_EMPTY = 24,
        VIRTIO_F_ANY_LAYOUT = 27,
        VIRTIO_F_INDIRECT_DESC = 28,
        VIRTIO_F_EVENT_IDX = 29,
        VIRTIO_F_VERSION_1 = 32,
        VIRTIO_F_ACCESS_PLATFORM = 33,
        VIRTIO_F_RING_PACKED = 34,
        VIRTIO_F_IN_ORDER = 35,
        VIRTIO_F_RING_RESET = 40,
};

#define VIRTIO_BIT(bit) (UINT64_C(1) << (bit))

/* virtio 1.3, 2.1: device status. */
enum {
        VIRTIO_STATUS_ACKNOWLEDGE = 1,
        VIRTIO_STATUS_DRIVER = 2,
        VIRTIO_STATUS_DRIVER_OK = 4,
        VIRTIO_STATUS_FEATURES_OK = 8,
        VIRTIO_STATUS_NEEDS_RESET = 0x40,
        VIRTIO_STATUS_FAILED = 0x80,
};

enum {
        VRING_SIZE_MAX = 32768, /* entries, either format */

        VRING_DESC_F_NEXT = 1,
        VRING_DESC_F_WRITE = 2,
        VRING_DESC_F_INDIRECT = 4,

        VRING_AVAIL_F_NO_INTERRUPT = 1,
        VRING_USED_F_NO_NOTIFY = 1,

        VRING_PACKED_DESC_F_AVAIL = 1 << 7,
        VRING_PACKED_DESC_F_USED = 1 << 15,
        VRING_PACKED_WRAP = 1 << 15, /* beside a slot: in event areas and in either half of a base */
        VRING_PACKED_EVENT_ENABLE = 0,
        VRING_PACKED_EVENT_DISABLE = 1,
        VRING_PACKED_EVENT_DESC = 2, /* at the named slot; with EVENT_IDX only */
};

/* virtio 1.3, 2.7.5: split ring. */
struct vring_desc {
        le64 addr;
        le32 len;
        le16 flags;
        le16 next;
};
static_assert(sizeof(struct vring_desc) == 16, "split descriptor");

struct vring_avail {
        le16 flags;
        le16 idx;
        le16 ring[]; /* [size], then le16 used_event */
};

struct vring_used_elem {
        le32 id;
        le32 len;
};

struct vring_used {
        le16 flags;
        le16 idx;
        struct vring_used_elem ring[]; /* [size], then le16 avail_event */
};

/* Bytes of the three parts of a split ring, event fields included. */
static inline uint64_t vring_desc_bytes(uint32_t size)
{
        return (uint64_t) size * sizeof(struct vring_desc);
}

static inline uint64_t vring_avail_bytes(uint32_t size)
{
        return 6 + 2 * (uint64_t) size;
}

static inline uint64_t vring_used_bytes(uint32_t size)
{
        return 6 + 8 * (uint64_t) size;
}

/* virtio 1.3, 2.8.13 and 2.8.14: packed ring. */
struct vring_packed_desc {
        le64 addr;
        le32 len;
        le16 id;
        le16 flags;
};
static_assert(sizeof(struct vring_packed_desc) == 16, "packed descriptor");

struct vring_packed_event {
        le16 off_wrap; /* slot, and the wrap counter in the highest bit */
        le16 flags;
};
static_assert(sizeof(struct vring_packed_event) == 4, "packed event suppression");

/* Where a packed ring begins: slot 0 in the first lap, for avail (lower half) and used (upper half). */
#define VRING_PACKED_BASE_FRESH UINT32_C(0x80008000)

/* virtio 1.3, 5.2: block device. */
enum {
        VIRTIO_BLK_F_SEG_MAX = 2,
        VIRTIO_BLK_F_RO = 5,
        VIRTIO_BLK_F_BLK_SIZE = 6,
        VIRTIO_BLK_F_FLUSH = 9,
        VIRTIO_BLK_F_TOPOLOGY = 10,
        VIRTIO_BLK_F_CONFIG_WCE = 11,
        VIRTIO_BLK_F_MQ = 12,
        VIRTIO_BLK_F_DISCARD = 13,
        VIRTIO_BLK_F_WRITE_ZEROES = 14,

        VIRTIO_BLK_T_IN = 0,
        VIRTIO_BLK_T_OUT = 1,
        VIRTIO_BLK_T_FLUSH = 4,
        VIRTIO_BLK_T_FLUSH_OUT = 5, /* legacy alias */
        VIRTIO_BLK_T_GET_ID = 8,
        VIRTIO_BLK_T_DISCARD = 11,
        VIRTIO_BLK_T_WRITE_ZEROES = 13,

        VIRTIO_BLK_S_OK = 0,
        VIRTIO_BLK_S_IOERR = 1,
        VIRTIO_BLK_S_UNSUPP = 2,

        VIRTIO_BLK_ID_BYTES = 20,
        VIRTIO_BLK_SECTOR = 512, /* bytes; the unit of every sector number whatever blk_size says */
        VIRTIO_BLK_ZEROES_F_UNMAP = 1,
};

struct virtio_blk_header {
        le32 type;
        le32 reserved;
        le64 sector;
};
static_assert(sizeof(struct virtio_blk_header) == 16, "block request header");

/* One segment of DISCARD and WRITE_ZEROES. */
struct virtio_blk_range {
        le64 sector;
        le32 sectors;
        le32 flags;
};
static_assert(sizeof(struct virtio_blk_range) == 16, "block range segment");

struct virtio_blk_config {
        le64 capacity; /* sectors */
        le32 size_max;
        le32 seg_max;
        le16 cylinders;
        uint8_t heads;
        uint8_t sectors;
        le32 blk_size;
        uint8_t physical_block_exp;
        uint8_t alignment_offset;
        le16 min_io_size;
        le32 opt_io_size;
        uint8_t writeback;
        uint8_t unused0;
        le16 num_queues;
        le32 max_discard_sectors;
        le32 max_discard_seg;
        le32 discard_sector_alignment;
        le32 max_write_zeroes_sectors;
        le32 max_write_zeroes_seg;
        uint8_t write_zeroes_may_unmap;
        uint8_t unused1[3];
        le32 max_secure_erase_sectors;
        le32 max_secure_erase_seg;
        le32 secure_erase_sector_alignment;
        uint8_t zoned[24];
};
static_assert(sizeof(struct virtio_blk_config) == 96, "block config space");
