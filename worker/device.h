/*
 * A device behind the vrings: one const struct of functions and a row in devices.c. It sees chains, never a vring,
 * a message or a guest address.
 */
#pragma once

#include "chain.h"
#include "ipc.h"
#include "log.h"

/* What a device is built from. The descriptors stay open for the life of the process, unless it closes them. */
struct device_setup {
        const struct ipc_device *device;
        struct fd *fence, *resource;
        unsigned loops;
        const struct log *log;
};

/* What the device is to the guest. */
struct device_face {
        uint64_t features; /* virtio features offered */
        uint32_t queues;
        uint32_t engine; /* enum ipc_engine */
        uint32_t config_size;
        uint8_t config[VU_CONFIG_MAX];
};

struct device {
        uint32_t id; /* virtio device id */
        const char *name;
        size_t request_bytes; /* per request; begins with a struct chain */

        /* Once, before the loops start. -errno, logged. */
        int (*open)(const struct device_setup *setup, struct device_face *ret_face, void **ret_device);

        /* In the thread of each loop, before the run filter: its own state, and what to wait for, or -1. */
        int (*loop_open)(void *device, unsigned loop, void **ret_local, int *ret_wait_fd);

        /* Once, after all loops are open. NULL: nothing to do. */
        void (*settle)(void *device);

        /* Serves one chain, now or later, and ends with chain_done(). */
        void (*serve)(void *local, struct chain *chain);

        /* Hands on what serve() has gathered, at once. NULL: serve() never leaves anything. */
        void (*flush)(void *local);

        /* Completes what is ready; true if there was something. NULL: as above. */
        bool (*reap)(void *local);

        /* Is something ready? Looks at memory only. NULL: as above. */
        bool (*pending)(const void *local);

        /* The loop is about to sleep. True: it must not, something is ready. NULL: as above. */
        bool (*arm)(void *local);

        /* These are called while all loops are parked. NULL: the device has no such state. */
        void (*set_features)(void *device, uint64_t acked);
        int (*set_config)(void *device, uint32_t offset, const uint8_t *bytes, uint32_t n, uint8_t *config);
        int (*resize)(void *device, uint64_t capacity, uint8_t *config); /* bytes */
        void (*reset)(void *device);

        /*
         * What the driver has told the device and no front-end tells again on its next connection; 0 at first. Of what
         * set_mode() is given nothing is certain. NULL, both: nothing of that kind.
         */
        uint64_t (*mode)(const void *device);
        void (*set_mode)(void *device, uint64_t mode, uint8_t *config);
};

/* The row of a virtio device id, or NULL. */
const struct device *device_of(uint32_t id);
