/*
 * The disk behind a device: opened, judged and locked by the broker while it may; never read by it.
 */
#pragma once

#include "fd.h"
#include "config.h"

struct resource {
        struct fd disk;         /* FD_NONE: the device has none (rng, Engine=null) */
        struct fd userfault;    /* /dev/userfaultfd; FD_NONE: no Postcopy=yes */
        struct ipc_block block; /* zeroed if it is no block device */
        int flags;              /* status flags of the open file, as they must be for every worker */
        uint64_t bytes;         /* size of a regular file; 0: the disk is none */
};

/*
 * Opens what the config names. Image locks live as long as this open file, also in duplicates; those of others are
 * waited for `until` (CLOCK_MONOTONIC, ns). Failures are one logged line and -errno: -EBUSY: locked; -EINVAL: unfit.
 */
int resource_open(const struct device_config *config, const struct log *log, long long until,
                  struct resource *ret_resource);

/*
 * Asks for the disk's size again: 1 and resource->block.capacity, resource->bytes are new; 0: as before, or there is no
 * disk. -EINVAL: less than a block is left, and nothing is changed; -errno. Not logged.
 */
int resource_measure(struct resource *resource);

/* Closes it. */
void resource_done(struct resource *resource);
