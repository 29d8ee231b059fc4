/*
 * Everything that needs the privilege the broker starts with: disks, sockets, cgroups.
 */
#pragma once

#include "config.h"
#include "host.h"
#include "options.h"

struct control;

/*
 * Opens what the devices of the config need: host->device, and host->down for those that cannot be served while others
 * can, and the control socket. Failures are logged; -errno: nothing can be served. What it opened is released with the
 * devices.
 */
int host_open(struct host *host, struct control *control, const struct options *options, const struct config *config);
