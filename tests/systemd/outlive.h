/*
 * A front-end that kills its broker under verified load, and comes again at once.
 */
#pragma once

#include "fe_device.h"

#include <sys/types.h>

/*
 * Writes and reads back at full depth; kills `broker` with as much in flight; connects to the socket again, resumes,
 * and goes on. *ret_pause_ms: from the kill until all that was in flight has completed. -EIO: a status or byte is
 * wrong.
 */
int outlive(struct fe_device *device, const char *path, pid_t broker, int patience_ms, int *ret_pause_ms);
