/*
 * The destination of a migration by post-copy: guest memory that is not there yet, told to the back-end, and a thread
 * that brings a page when the back-end's process misses it.
 */
#pragma once

#include "fe_device.h"

#include <pthread.h>

struct fe_postcopy {
        struct fd userfault; /* of the back-end's process */
        struct fd stop;      /* ends the thread */
        pthread_t thread;
        const struct fe_mem *mem;
        uint8_t *image[FE_REGIONS_MAX];  /* what each region's file holds at the source */
        uint64_t there[FE_REGIONS_MAX];  /* where the back-end says that it has mapped the region */
        struct fd brought;               /* eventfd: counts the pages that were brought because they were missed */
        int error;                       /* of the thread */
        bool running;
};

/* POSTCOPY_ADVISE. -EREMOTEIO: refused, in the form that it has. */
int fe_postcopy_advise(struct fe_device *device, struct fe_postcopy *ret_postcopy);

/* POSTCOPY_LISTEN, POSTCOPY_END. -EREMOTEIO: refused. */
int fe_postcopy_listen(struct fe_device *device);
int fe_postcopy_end(struct fe_device *device);

/* Takes the content of all regions away: it is at the source still. Nobody may touch them until it is brought. */
int fe_postcopy_leave_behind(struct fe_device *device, struct fe_postcopy *postcopy);

/* Tells the regions, one by one or (options.mem_table) at once, and where they lie. -EBADMSG: no reply as it should be. */
int fe_postcopy_tell(struct fe_device *device, struct fe_postcopy *postcopy);

/* The message that means that faults will be served. They are from then on. */
int fe_postcopy_go_ahead(struct fe_device *device, struct fe_postcopy *postcopy);

/* All of that after one another. */
int fe_postcopy_memory(struct fe_device *device, struct fe_postcopy *postcopy);

/* Waits until n pages were brought because they were missed. -ETIMEDOUT. */
int fe_postcopy_await(struct fe_postcopy *postcopy, unsigned n, int timeout_ms);

/* Brings all that is missing still. */
int fe_postcopy_finish(struct fe_postcopy *postcopy);

/* Stops to bring pages and drops everything; harmless twice. */
void fe_postcopy_done(struct fe_postcopy *postcopy);
