/*
 * A device in use: connection, guest memory and started vrings, set up in one call or step by step.
 */
#pragma once

#include "drv_packed.h"
#include "drv_split.h"
#include "fe_msg.h"

struct fe_postcopy;

enum { FE_VRINGS_MAX = 64 };

struct fe_options {
        unsigned queues;            /* 0: one */
        uint32_t queue_size;        /* 0: 128 */
        uint64_t features;          /* the driver's mask; 0: all that it can drive */
        uint64_t protocol_features; /* the front-end's mask; 0: all */
        uint64_t mem_bytes;         /* 0: 32 MiB */
        uint64_t mem_offset;        /* of the region within its memfd */
        uint64_t mem_gpa;           /* 0: 1 MiB */
        bool two_regions;           /* a second one of the same size, 1 GiB higher */
        bool adjoining;             /* two_regions: right behind the first one in gpa, elsewhere in uva */
        bool last_apart;            /* two_regions: the last vring lies in the second one */
        bool mem_table;             /* SET_MEM_TABLE even where ADD_MEM_REG is possible */
        bool no_inflight;           /* do not set up an in-flight area */
        bool packed;                /* packed rings, if offered */
        bool in_order;              /* ack IN_ORDER, if offered */
        bool disabled;              /* leave the vrings disabled */
        unsigned skew;              /* struct drv_place */
        uint16_t base;              /* where the rings begin: drv_rebase() */
        struct fe_postcopy *postcopy; /* not NULL: all memory comes by post-copy (fe_postcopy.h) */
};

struct fe_device {
        struct fe_options options;
        struct fe_conn conn;
        struct fe_mem *mem; /* on the heap: vrings point to it wherever the device is copied */
        uint64_t offered;   /* GET_FEATURES */
        uint64_t features;  /* as set */
        uint64_t protocol_offered;
        struct vu_inflight inflight;
        struct fd inflight_fd;
        unsigned n;
        struct drv_vring *vring[FE_VRINGS_MAX];
};

/* Connects and does all; on failure nothing is left. Options NULL: defaults. */
int fe_device_start(const char *path, const struct fe_options *options, struct fe_device *ret_device);

/* The same on a connection it owns from now on. */
int fe_device_start_on(struct fe_conn conn, const struct fe_options *options, struct fe_device *ret_device);

/* The steps of it, in QEMU's order. */
int fe_device_negotiate(struct fe_device *device);   /* features, protocol features, SET_OWNER, SET_FEATURES */
int fe_device_memory(struct fe_device *device);      /* makes the regions */
int fe_device_send_memory(struct fe_device *device); /* tells them */
int fe_device_vrings(struct fe_device *device);      /* makes the rings */
int fe_device_inflight(struct fe_device *device);    /* GET and SET_INFLIGHT_FD, if negotiated */
int fe_device_start_vring(struct fe_device *device, unsigned index, uint32_t base); /* NUM BASE ADDR CALL ERR KICK */

/* All vrings: started where the driver is, enabled unless options.disabled. */
int fe_device_start_vrings(struct fe_device *device);

/* The addresses of a vring as SET_VRING_ADDR wants them. */
struct vu_vring_addr fe_device_vring_addr(const struct fe_device *device, unsigned index);

/* Connects anew with memory, rings and in-flight area kept, as QEMU does after a lost connection. */
int fe_device_reconnect(struct fe_device *device, const char *path);

/* The same on a connection it owns from now on. */
int fe_device_resume_on(struct fe_device *device, struct fe_conn conn);

/* GET_VRING_BASE of all vrings and close. -EBADE: a base that is not the driver's position. */
int fe_device_stop(struct fe_device *device);

/* Drops everything without a word to the back-end. */
void fe_device_drop(struct fe_device *device);
