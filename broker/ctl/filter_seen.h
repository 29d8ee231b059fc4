/*
 * The system call filters of a running process, as the kernel has them.
 */
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

enum { FILTERS_MOST = 128 };

struct filters_seen {
        unsigned n;
        struct {
                unsigned short n;
                struct sock_filter *code; /* owned */
        } filter[FILTERS_MOST];           /* the newest first */
};

/*
 * Stops the process's first thread for the moment it takes to read its `n` newest filters of `total`. Should we die
 * meanwhile, the kernel lets it go on. -EACCES, -EPERM: this host does not let us; -ETIMEDOUT: it cannot be stopped,
 * for it waits for a disk; -ESRCH. Release with filters_done.
 */
int filters_read(pid_t pid, unsigned total, unsigned n, struct filters_seen *ret_filters);
void filters_done(struct filters_seen *filters);
