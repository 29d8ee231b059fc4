/*
 * The driver of a packed virtqueue (virtio 1.3, 2.8).  Its parts are open to hostile tests, which write into them past
 * the driver.
 */
#pragma once

#include "drv_vring.h"
#include "virtio.h"

struct drv_packed_at {
        uint16_t slot;
        bool wrap;
};

/* A buffer by the id that it has in the ring. */
struct drv_packed_head {
        void *cookie;
        bool busy, writable;
        uint16_t num;        /* slots */
        struct fe_buf table; /* taken at first use */
};

struct drv_packed {
        struct drv_vring base;
        struct vring_packed_desc *desc;
        struct vring_packed_event *driver, *device;
        struct drv_packed_at avail, shown, used; /* next to fill; as last published; next to take */
        uint16_t hidden_flags;                   /* of slot `shown`, which hides what was added behind it */
        uint16_t n_free;
        uint16_t n_ids, *ids; /* a stack of those that are free */
        struct drv_packed_head *head; /* [size], by id */
};

/* A ring with all its eventfds, in memory taken from mem; freed by drv_free. -ENOSPC, -errno. */
int drv_packed_new(struct fe_mem *mem, struct drv_place place, uint32_t index, uint32_t size, bool event_idx,
                   struct drv_vring **ret_vring);

/* The packed ring behind the interface. */
struct drv_packed *drv_packed_of(struct drv_vring *v);

/* The AVAIL and USED bits of a descriptor that is available in this lap. */
uint16_t drv_packed_turn(struct drv_packed_at at);

/* A place n slots further. */
struct drv_packed_at drv_packed_after(struct drv_packed_at at, unsigned n, uint32_t size);
