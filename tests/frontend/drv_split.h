/*
 * The driver of a split virtqueue (virtio 1.3, 2.7).  Its parts are open to hostile tests, which write into them past
 * the driver.
 */
#pragma once

#include "drv_vring.h"
#include "virtio.h"

struct drv_split_head {
        void *cookie;
        bool busy;
        struct fe_buf table; /* taken at first use */
};

struct drv_split {
        struct drv_vring base;
        struct vring_desc *desc;
        struct vring_avail *avail;
        struct vring_used *used;
        uint16_t free_head;
        uint16_t n_free;
        uint16_t avail_idx;          /* next to fill, free running; shown to the device by publish */
        uint16_t shown;              /* as last published */
        uint16_t used_idx;           /* next to take */
        struct drv_split_head *head; /* [size] */
};

/* A ring with all its eventfds, in memory taken from mem; freed by drv_free. -ENOSPC, -errno. */
int drv_split_new(struct fe_mem *mem, struct drv_place place, uint32_t index, uint32_t size, bool event_idx,
                  struct drv_vring **ret_vring);

/* The split ring behind the interface. */
struct drv_split *drv_split_of(struct drv_vring *v);

/* Shows a head to the device that was written by hand into desc[]; takes no notice of it otherwise. */
void drv_split_show(struct drv_split *s, uint16_t head);

/* The event fields behind the rings. */
le16 *drv_split_used_event(struct drv_split *s);
le16 *drv_split_avail_event(struct drv_split *s);
