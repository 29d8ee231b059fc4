/*
 * The worker: one device, its vrings, the loops that serve them and the memory they share.
 */
#pragma once

#include "device.h"
#include "device_state.h"
#include "dirty_log.h"
#include "guest_mem.h"
#include "inflight.h"
#include "iotlb.h"
#include "link.h"
#include "loop.h"
#include "park.h"
#include "postcopy.h"
#include "vring.h"

struct worker {
        struct log log;
        struct link link;
        struct fd fence;    /* held to the end, unless an engine hands it to its rings */
        struct fd resource; /* of the device: its disk */
        struct stats_page *stats; /* of all loops */
        const struct device *device;
        void *device_state;
        struct device_face face;
        struct device_state state; /* on its way */
        uint64_t acked; /* virtio features */
        struct guest_mem mem;
        struct postcopy postcopy;
        struct iotlb iotlb; /* mem.iotlb points here while it counts */
        struct dirty_log dirty;
        struct inflight_area area;
        struct park park;
        struct loop *loop;
        unsigned n_loops;
        struct vring *vring;
        unsigned n_vrings;
        uint32_t vring_size_max; /* entries */
};

enum { WORKER_QUEUES_MAX = STATS_VRINGS, WORKER_LOOPS_MAX = 64 };

/*
 * Makes everything that the worker will ever need but guest memory: device, loops, threads, vrings; takes the
 * packet's descriptors. The other loops are parked then. -errno, logged.
 */
int worker_set_up(struct worker *w, const struct device *kind, const struct ipc_device *device,
                  struct packet *packet);
