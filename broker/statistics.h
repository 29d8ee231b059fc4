/*
 * A device's statistics (common/stats_page.h): a file that its workers write to, one after the other, and that nobody
 * can resize.
 */
#pragma once

#include "fd.h"
#include "stats_page.h"

/*
 * The caller's file with a page for each of `threads` loops, sealed; it takes no memory before it is used. What it is
 * called (STATS_NAME and the device's name) is how vhostctl inspect knows it. -errno.
 */
int statistics_make(const char *device, unsigned threads, struct fd *ret_file);

/*
 * Copies the page of a loop: each word once, as it is at some moment. -ENOENT: there is no such
 * loop; -errno.
 */
int statistics_read(int file, unsigned threads, unsigned loop, struct stats_page *ret_page);
