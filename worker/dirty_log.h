/*
 * The dirty log of a live migration: a bit per guest page, shared with the front-end, set after a page was written
 * (vhost-user, "Migration"). What devices write is noted by their chains, what vrings write by their formats.
 */
#pragma once

#include "fd.h"
#include "guest_mem.h"

enum { DIRTY_PAGE = 4096 }; /* bytes, whatever the host's pages are */

struct dirty_log {
        uint8_t SHARED *bits; /* NULL: no log */
        uint64_t bytes;
        void *map;
        size_t map_len;
        bool data;      /* VHOST_F_LOG_ALL: log what devices write */
        struct fd call; /* to poke after logging */
};

/* No log, no descriptor. */
void dirty_log_init(struct dirty_log *log);

/* Takes another area, the one before is unmapped then; the fd is borrowed. -EINVAL: unaligned, beyond its file. */
int dirty_log_replace(struct dirty_log *log, const struct ipc_dirty_log *what, int fd);

/* Notes that [from, from + len) was written. What lies beyond the log, or past 64 bits, is not noted. */
void dirty_log_mark(const struct dirty_log *log, struct gpa from, uint64_t len);
void dirty_log_mark_all(const struct dirty_log *log, const struct gpa_range *ranges, unsigned n);
