/*
 * The block device: what it offers, and the calls of its engines. The ring's own limits (opcodes, fixed files) stand
 * in worker/dev/engine_uring.c: the kernel keeps those, no filter can.
 */
#include "policy.h"

#include "every_device.h"

const struct policy_device policy_block = {
        .type = "block",
        .id = VIRTIO_ID_BLOCK,
        .features = POLICY_RING_FEATURES | VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |
                    VIRTIO_BIT(VIRTIO_BLK_F_RO) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
                    VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) |
                    VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | VIRTIO_BIT(VIRTIO_BLK_F_MQ) |
                    VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) | VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES),
        .protocol_features = POLICY_PROTOCOL_FEATURES,
        .queues_max = 64,
};

const struct policy_call policy_uring_setup[] = {
        { "io_uring_setup", "engine_uring.c: one ring per loop" },
        { "io_uring_register", "engine_uring.c: ring_restrict, fixed files, limit of kernel threads, enabling" },
        { "io_uring_enter", "engine_uring.c: the test with a forbidden opcode" },
        { NULL },
};

const struct policy_call policy_uring_run[] = {
        { "io_uring_enter", "engine_uring.c: submit and reap" },
        { NULL },
};

#define SYNC_ALWAYS                                                                                                    \
        { "fdatasync", "engine_sync.c: sync_run" },                                                                    \
        { "fallocate", "engine_sync.c: sync_run" }

const struct policy_call policy_sync_setup[] = {
        SYNC_ALWAYS,
        { NULL },
};

const struct policy_call policy_sync_run[] = {
        SYNC_ALWAYS,
        { NULL },
};
