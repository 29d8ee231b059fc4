/*
 * The block device: what it offers, and the calls of its engines. The ring's own limits (opcodes, fixed files) stand
 * in worker/dev/engine_uring.c: the kernel keeps those, no filter can.
 */
#include "policy.h"

#include "vhost_user.h"
#include "virtio.h"

const struct policy_device policy_block = {
        .type = "block",
        .id = VIRTIO_ID_BLOCK,
        .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) |
                    VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
                    VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_F_IN_ORDER) |
                    VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |
                    VIRTIO_BIT(VIRTIO_BLK_F_RO) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
                    VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) |
                    VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | VIRTIO_BIT(VIRTIO_BLK_F_MQ) |
                    VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) | VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES),
        .protocol_features = VIRTIO_BIT(VU_PF_MQ) | VIRTIO_BIT(VU_PF_LOG_SHMFD) | VIRTIO_BIT(VU_PF_REPLY_ACK) |
                             VIRTIO_BIT(VU_PF_CONFIG) | VIRTIO_BIT(VU_PF_INFLIGHT_SHMFD) |
                             VIRTIO_BIT(VU_PF_CONFIGURE_MEM_SLOTS) | VIRTIO_BIT(VU_PF_BACKEND_REQ) |
                             VIRTIO_BIT(VU_PF_RESET_DEVICE) | VIRTIO_BIT(VU_PF_STATUS) | VIRTIO_BIT(VU_PF_DEVICE_STATE) |
                             VIRTIO_BIT(VU_PF_INBAND_NOTIFICATIONS) | VIRTIO_BIT(VU_PF_GET_VRING_BASE_INFLIGHT) |
                             VIRTIO_BIT(VU_PF_PAGEFAULT),
        .queues_max = 64,
};

const struct policy_call policy_uring_setup[] = {
        { "io_uring_setup", "engine_uring.c: one ring per loop" },
        { "io_uring_register", "engine_uring.c: restrictions, fixed files, limit of kernel threads, enabling" },
        { "io_uring_enter", "engine_uring.c: the test with a forbidden opcode" },
        { NULL },
};

const struct policy_call policy_uring_run[] = {
        { "io_uring_enter", "engine_uring.c: submit and reap" },
        { NULL },
};

#define SYNC_ALWAYS                                                                                                    \
        { "fdatasync", "engine_sync.c: flush" },                                                                       \
        { "fallocate", "engine_sync.c: discard and write zeroes" }

const struct policy_call policy_sync_setup[] = {
        SYNC_ALWAYS,
        { NULL },
};

const struct policy_call policy_sync_run[] = {
        SYNC_ALWAYS,
        { NULL },
};
