/*
 * The worker's own stages of confinement, in order (design, "Confinement").
 */
#pragma once

#include "ipc.h"
#include "log.h"

/*
 * Must leave the process unreadable, without executable memory to be gained, without rights over files, and under
 * the set-up filter. Must not skip a layer unless the device's config lets it: *ret_lacks says which. -errno, logged.
 */
int sandbox_enter(const struct ipc_device *device, const struct log *log, uint32_t *ret_lacks);

/* Must put all threads under the run filter of this device and engine; nothing may be set up later. -errno, logged. */
int sandbox_narrow(const struct ipc_device *device, uint32_t engine, const struct log *log);
