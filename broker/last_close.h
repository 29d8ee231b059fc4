/*
 * Closing a stranger's descriptor can be made to block for ever, so the broker never makes the last close itself.
 */
#pragma once

#include "fd.h"

/*
 * Takes the fd and has a process of its own close it last. ret_pidfd: that process, to be reaped by the caller when it
 * becomes readable. -errno: no process could be made, and the fd is still the caller's.
 */
int last_close_elsewhere(struct fd *stranger, struct fd *ret_pidfd);
