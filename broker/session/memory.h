/*
 * Checks of memory regions. Nothing here maps anything.
 */
#pragma once

#include "ledger.h"
#include "vhost_user.h"

/* Sizes and wraps. -EINVAL: empty; -EOVERFLOW: an end is past 64 bits, or past what a file can be. */
int memory_check_region(const struct vu_region *region);

/* Do two regions share a byte, guest physical or in the front-end's addresses? Both passed memory_check_region. */
bool memory_overlap(const struct ipc_region *a, const struct vu_region *b);

/* Is fd a file that holds the region? -EINVAL: no regular file; -ERANGE: it ends before the region; -errno. */
int memory_check_file(int fd, const struct vu_region *region);
