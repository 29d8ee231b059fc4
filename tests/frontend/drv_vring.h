/*
 * The driver's side of a virtqueue, whatever its format: give the device a chain, kick, wait, take it back.
 * A format (drv_split, drv_packed) is a const struct of functions behind it.
 */
#pragma once

#include "fe_mem.h"

#include <stdbool.h>

enum { DRV_SEGS_MAX = 256, DRV_TABLE_MAX = 256 };

struct drv_seg {
        uint64_t gpa;
        uint32_t len; /* bytes */
        bool write;   /* for the device to write */
};

enum drv_how {
        DRV_DIRECT,
        DRV_INDIRECT,      /* all in a table */
        DRV_TAIL_INDIRECT, /* the first segment direct, the rest in a table */
};

struct drv_used {
        void *cookie;
        uint32_t len; /* bytes that the device says it has written */
};

struct drv_vring;

struct drv_format {
        int (*add)(struct drv_vring *v, const struct drv_seg *segs, unsigned n, enum drv_how how, void *cookie);
        bool (*publish)(struct drv_vring *v); /* true: the device wants a kick */
        int (*pop)(struct drv_vring *v, struct drv_used *ret_used);
        bool (*pending)(const struct drv_vring *v);
        void (*want_calls)(struct drv_vring *v, bool on);
        uint32_t (*base)(const struct drv_vring *v);
        uint32_t (*used_base)(const struct drv_vring *v);
        void (*rebase)(struct drv_vring *v, uint16_t at);
        void (*free)(struct drv_vring *v);
};

/* Where a ring may lie, for layouts that only just obey the alignment of the standard. */
struct drv_place {
        unsigned region;
        unsigned skew; /* units of the minimal alignment by which each part is moved */
};

struct drv_vring {
        const struct drv_format *format;
        struct fe_mem *mem;
        unsigned region; /* where indirect tables are taken from */
        uint32_t index;
        uint32_t size; /* entries */
        bool event_idx;
        uint64_t desc, driver, device; /* gpa of the three parts, as in virtio 1.3, 2.6 */
        struct fd kick, call, err;
        unsigned in_flight;
        unsigned long kicks, calls; /* eventfd writes made, eventfd signals taken */
};

/*
 * Adds a chain without showing it to the device yet. -ENOSPC: no descriptors or no memory for a table; -E2BIG.
 * `cookie` comes back with drv_pop.
 */
int drv_add(struct drv_vring *v, const struct drv_seg *segs, unsigned n, enum drv_how how, void *cookie);

/* Shows what was added to the device and kicks if it wants that. */
void drv_kick(struct drv_vring *v);

/* Shows and kicks whether it wants that or not. */
void drv_kick_anyway(struct drv_vring *v);

/* 1: took a used chain; 0: there is none; -EPROTO: the device gave back what it did not have. */
int drv_pop(struct drv_vring *v, struct drv_used *ret_used);

/* Sleeps on the call eventfd until a used chain is there. -ETIMEDOUT. */
int drv_wait(struct drv_vring *v, long long deadline);

/* Waits and pops one. */
int drv_take(struct drv_vring *v, int timeout_ms, struct drv_used *ret_used);

/* Asks the device to call or (busy polling) not to. drv_wait asks by itself. */
void drv_want_calls(struct drv_vring *v, bool on);

/* As in SET_VRING_BASE: where a device is that has used all that it was shown; where it was when it died. */
uint32_t drv_base(const struct drv_vring *v);
uint32_t drv_used_base(const struct drv_vring *v);

/* Makes an idle ring begin anew as if `at` descriptors had been used in it, as after a reset. */
void drv_rebase(struct drv_vring *v, uint16_t at);

/* Closes the eventfds and frees it; its guest memory stays with fe_mem. NULL is harmless. */
void drv_free(struct drv_vring *v);

/* For formats: makes the three eventfds; takes memory for a part of a ring. */
int drv_vring_init(struct drv_vring *v);
int drv_place_part(struct fe_mem *mem, struct drv_place place, uint64_t size, uint64_t align, struct fe_buf *ret);
