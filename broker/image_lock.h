/*
 * The byte-range locks by which programs of the QEMU family agree who uses a disk image, and how.
 */
#pragma once

#include <stdbool.h>

/*
 * Locks the image for reading, or for writing as well; lasts as long as the open file. `ret_conflict` gets a constant
 * text that says which use conflicts: -EBUSY. Other -errno: this file cannot be locked. Then it holds no lock.
 */
int image_lock(int disk, bool writes, const char **ret_conflict);
