/*
 * Host ids for sessions and workers: a part of the configured range that this broker has for itself.
 */
#pragma once

#include "fd.h"
#include "log.h"

#include <stdint.h>

/*
 * Locks `need` consecutive ids of base..base+count-1 that no other broker of this host holds, by byte-range locks on
 * RUN_DIR/uids.lock (the directory is made if missing). The lock lasts as long as ret_lock, which the caller owns.
 * -ENOSPC: all taken; -errno: the file. Failures are logged.
 */
int uid_lock(const char *run_dir, uint32_t base, uint32_t count, uint32_t need, const struct log *log,
             struct fd *ret_lock, uint32_t *ret_first);
