/*
 * The vhost-user protocol on the wire: message numbers, flags, feature bits, payload structs (host byte order).
 * Data only; what a message means is the session's business (broker/session/vu_rules.c).
 * Source: vhost-user protocol, "Message specification" and "Protocol features".
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum {
        VU_VERSION = 1,
        VU_FLAG_VERSION_MASK = 3,
        VU_FLAG_REPLY = 1 << 2,
        VU_FLAG_NEED_REPLY = 1 << 3,
        VU_FLAGS_KNOWN = 0xf,
        VU_FLAGS_REPLY = VU_VERSION | VU_FLAG_REPLY, /* front-ends compare for equality */

        VU_PAYLOAD_MAX = 4096, /* bytes after the header that we are willing to read */
        VU_FDS_MAX = 8,        /* descriptors with one message: one per region of SET_MEM_TABLE */
        VU_CONFIG_MAX = 256,   /* bytes of device config space */
        VU_TABLE_REGIONS_MAX = 8,
        VU_MEM_SLOTS = 509,
};

/* Front-end to back-end. */
enum vu_request {
        VU_GET_FEATURES = 1,
        VU_SET_FEATURES = 2,
        VU_SET_OWNER = 3,
        VU_RESET_OWNER = 4,
        VU_SET_MEM_TABLE = 5,
        VU_SET_LOG_BASE = 6,
        VU_SET_LOG_FD = 7,
        VU_SET_VRING_NUM = 8,
        VU_SET_VRING_ADDR = 9,
        VU_SET_VRING_BASE = 10,
        VU_GET_VRING_BASE = 11,
        VU_SET_VRING_KICK = 12,
        VU_SET_VRING_CALL = 13,
        VU_SET_VRING_ERR = 14,
        VU_GET_PROTOCOL_FEATURES = 15,
        VU_SET_PROTOCOL_FEATURES = 16,
        VU_GET_QUEUE_NUM = 17,
        VU_SET_VRING_ENABLE = 18,
        VU_SEND_RARP = 19,
        VU_NET_SET_MTU = 20,
        VU_SET_BACKEND_REQ_FD = 21,
        VU_IOTLB_MSG = 22,
        VU_SET_VRING_ENDIAN = 23,
        VU_GET_CONFIG = 24,
        VU_SET_CONFIG = 25,
        VU_CREATE_CRYPTO_SESSION = 26,
        VU_CLOSE_CRYPTO_SESSION = 27,
        VU_POSTCOPY_ADVISE = 28,
        VU_POSTCOPY_LISTEN = 29,
        VU_POSTCOPY_END = 30,
        VU_GET_INFLIGHT_FD = 31,
        VU_SET_INFLIGHT_FD = 32,
        VU_GPU_SET_SOCKET = 33,
        VU_RESET_DEVICE = 34,
        VU_VRING_KICK = 35,
        VU_GET_MAX_MEM_SLOTS = 36,
        VU_ADD_MEM_REG = 37,
        VU_REM_MEM_REG = 38,
        VU_SET_STATUS = 39,
        VU_GET_STATUS = 40,
        VU_GET_SHARED_OBJECT = 41,
        VU_SET_DEVICE_STATE_FD = 42,
        VU_CHECK_DEVICE_STATE = 43,
        VU_GET_SHMEM_CONFIG = 44,
        VU_REQUESTS, /* one past the last */
};

/* Back-end to front-end, on the channel of SET_BACKEND_REQ_FD. */
enum vu_backend_request {
        VU_BACKEND_IOTLB_MSG = 1,
        VU_BACKEND_CONFIG_CHANGE_MSG = 2,
        VU_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
        VU_BACKEND_VRING_CALL = 4,
        VU_BACKEND_VRING_ERR = 5,
        VU_BACKEND_SHARED_OBJECT_ADD = 6,
        VU_BACKEND_SHARED_OBJECT_REMOVE = 7,
        VU_BACKEND_SHARED_OBJECT_LOOKUP = 8,
        VU_BACKEND_SHMEM_MAP = 9,
        VU_BACKEND_SHMEM_UNMAP = 10,
};

/* Protocol feature bit numbers. */
enum vu_protocol_feature {
        VU_PF_MQ = 0,
        VU_PF_LOG_SHMFD = 1,
        VU_PF_RARP = 2,
        VU_PF_REPLY_ACK = 3,
        VU_PF_NET_MTU = 4,
        VU_PF_BACKEND_REQ = 5,
        VU_PF_CROSS_ENDIAN = 6,
        VU_PF_CRYPTO_SESSION = 7,
        VU_PF_PAGEFAULT = 8,
        VU_PF_CONFIG = 9,
        VU_PF_BACKEND_SEND_FD = 10,
        VU_PF_HOST_NOTIFIER = 11,
        VU_PF_INFLIGHT_SHMFD = 12,
        VU_PF_RESET_DEVICE = 13,
        VU_PF_INBAND_NOTIFICATIONS = 14,
        VU_PF_CONFIGURE_MEM_SLOTS = 15,
        VU_PF_STATUS = 16,
        VU_PF_XEN_MMAP = 17,
        VU_PF_SHARED_OBJECT = 18,
        VU_PF_DEVICE_STATE = 19,
        VU_PF_GET_VRING_BASE_INFLIGHT = 20,
};

/* Feature bits of the vhost-user transport within the 64 bits of GET_FEATURES; hidden from guests. */
enum {
        VU_F_LOG_ALL = 26,
        VU_F_PROTOCOL_FEATURES = 30,
};

enum {
        VU_VRING_INDEX_MASK = 0xff, /* in the u64 of SET_VRING_KICK, CALL, ERR */
        VU_VRING_NOFD = 1 << 8,
        VU_VRING_F_LOG = 1 << 0, /* in vu_vring_addr.flags */
};

struct vu_header {
        uint32_t request;
        uint32_t flags;
        uint32_t size; /* payload bytes */
};
static_assert(sizeof(struct vu_header) == 12, "vhost-user header");

struct vu_vring_state {
        uint32_t index;
        uint32_t num;
};
static_assert(sizeof(struct vu_vring_state) == 8, "vring state");

struct vu_vring_addr {
        uint32_t index;
        uint32_t flags;
        uint64_t desc; /* front-end user addresses */
        uint64_t used;
        uint64_t avail;
        uint64_t log; /* guest physical */
};
static_assert(sizeof(struct vu_vring_addr) == 40, "vring addresses");

struct vu_region {
        uint64_t gpa;
        uint64_t size; /* bytes */
        uint64_t uva;
        uint64_t offset; /* into the fd */
};
static_assert(sizeof(struct vu_region) == 32, "memory region");

struct vu_mem_table {
        uint32_t n;
        uint32_t padding;
        struct vu_region region[VU_TABLE_REGIONS_MAX];
};
static_assert(sizeof(struct vu_mem_table) == 264, "memory table");

struct vu_mem_reg {
        uint64_t padding;
        struct vu_region region;
};
static_assert(sizeof(struct vu_mem_reg) == 40, "single memory region");

struct vu_config {
        uint32_t offset;
        uint32_t size;
        uint32_t flags;
        uint8_t bytes[VU_CONFIG_MAX];
};
static_assert(sizeof(struct vu_config) == 12 + VU_CONFIG_MAX, "device config");

struct vu_inflight {
        uint64_t size;
        uint64_t offset;
        uint16_t queues;
        uint16_t queue_size;
        uint32_t padding;
};
static_assert(sizeof(struct vu_inflight) == 24, "in-flight description");

enum { VU_IOTLB_READ = 1, VU_IOTLB_WRITE = 2 }; /* bits of `access` */
enum { VU_IOTLB_MISS = 1, VU_IOTLB_UPDATE = 2, VU_IOTLB_INVALIDATE = 3, VU_IOTLB_ACCESS_FAIL = 4 };

struct vu_iotlb {
        uint64_t iova;
        uint64_t size; /* bytes */
        uint64_t uva;
        uint8_t access;
        uint8_t type;
        uint8_t padding[6];
};
static_assert(sizeof(struct vu_iotlb) == 32, "IOTLB message");

enum { VU_STATE_SAVE = 0, VU_STATE_LOAD = 1, VU_STATE_PHASE_STOPPED = 0 };

enum {
        VU_STATE_ERROR = 1 << 0, /* of bits 0-7 in the reply to SET_DEVICE_STATE_FD */
        VU_STATE_NOFD = 1 << 8,  /* the descriptor that came is the one to use */
};

struct vu_device_state {
        uint32_t direction;
        uint32_t phase;
};
static_assert(sizeof(struct vu_device_state) == 8, "device state transfer");

struct vu_log {
        uint64_t size;
        uint64_t offset;
};
static_assert(sizeof(struct vu_log) == 16, "dirty log description");

/*
 * In-flight area, split rings ("Inflight I/O tracking"): per queue this header, then one entry per descriptor;
 * each queue's part rounded up to 64 bytes.
 */
struct vu_inflight_split {
        uint64_t features;
        uint16_t version; /* 0: never initialised */
        uint16_t desc_num;
        uint16_t last_batch_head;
        uint16_t used_idx;
};
static_assert(sizeof(struct vu_inflight_split) == 16, "split in-flight header");

struct vu_inflight_split_desc {
        uint8_t inflight;
        uint8_t padding[5];
        uint16_t next;
        uint64_t counter;
};
static_assert(sizeof(struct vu_inflight_split_desc) == 16, "split in-flight entry");

/* The same for packed rings. */
struct vu_inflight_packed {
        uint64_t features;
        uint16_t version;
        uint16_t desc_num;
        uint16_t free_head;
        uint16_t old_free_head;
        uint16_t used_idx;
        uint16_t old_used_idx;
        uint8_t used_wrap;
        uint8_t old_used_wrap;
        uint8_t padding[10];
};
static_assert(sizeof(struct vu_inflight_packed) == 32, "packed in-flight header");

struct vu_inflight_packed_desc {
        uint8_t inflight;
        uint8_t padding;
        uint16_t next;
        uint16_t last;
        uint16_t num;
        uint64_t counter;
        uint16_t id;
        uint16_t flags;
        uint32_t len;
        uint64_t addr;
};
static_assert(sizeof(struct vu_inflight_packed_desc) == 32, "packed in-flight entry");

/* Bytes of one queue's part of the in-flight area; size in ring entries, at most 32768. */
static inline uint64_t vu_inflight_bytes(uint32_t size, bool packed)
{
        uint64_t bytes = packed ? sizeof(struct vu_inflight_packed) + size * sizeof(struct vu_inflight_packed_desc)
                                : sizeof(struct vu_inflight_split) + size * sizeof(struct vu_inflight_split_desc);

        return (bytes + 63) & ~(uint64_t) 63;
}
