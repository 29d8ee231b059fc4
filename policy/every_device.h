/*
 * What every device offers, for it is the work of rings, guest memory and session, not of the device.
 */
#pragma once

#include "vhost_user.h"
#include "virtio.h"

#define POLICY_RING_FEATURES                                                                                           \
        (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |      \
         VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_F_IN_ORDER))

#define POLICY_PROTOCOL_FEATURES                                                                                       \
        (VIRTIO_BIT(VU_PF_MQ) | VIRTIO_BIT(VU_PF_LOG_SHMFD) | VIRTIO_BIT(VU_PF_REPLY_ACK) |                            \
         VIRTIO_BIT(VU_PF_CONFIG) | VIRTIO_BIT(VU_PF_INFLIGHT_SHMFD) | VIRTIO_BIT(VU_PF_CONFIGURE_MEM_SLOTS) |         \
         VIRTIO_BIT(VU_PF_BACKEND_REQ) | VIRTIO_BIT(VU_PF_RESET_DEVICE) | VIRTIO_BIT(VU_PF_STATUS) |                   \
         VIRTIO_BIT(VU_PF_DEVICE_STATE) | VIRTIO_BIT(VU_PF_INBAND_NOTIFICATIONS) |                                     \
         VIRTIO_BIT(VU_PF_GET_VRING_BASE_INFLIGHT) | VIRTIO_BIT(VU_PF_PAGEFAULT))
