/*
 * Memory that two processes share, of a size that neither can change.
 */
#pragma once

#include "fd.h"

#include <stdint.h>

/* The caller's memfd of so many zero bytes, sealed against resizing and, where the kernel can, execution. -errno. */
int sealed_new(const char *name, uint64_t bytes, struct fd *ret_file);
