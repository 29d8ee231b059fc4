/*
 * A worker is put together: its device, its loops and their threads, its vrings. Nothing of it is ever taken apart:
 * the process ends.
 */
#include "worker.h"

#include <errno.h>
#include <stdlib.h>

static int refuse(const struct worker *w, const char *what, int error)
{
        log_error(&w->log, "%s: %s", what, log_errno(error));
        return error;
}

/* Numbers of the broker's, checked all the same: arrays are made from them. */
static int check_device(const struct worker *w, const struct ipc_device *device)
{
        if (!w->device)
                return refuse(w, "unknown device", -ENODEV);
        if (device->threads == 0 || device->threads > WORKER_LOOPS_MAX || device->queues == 0 ||
            device->queues > WORKER_QUEUES_MAX)
                return refuse(w, "threads or queues out of range", -EINVAL);
        if (device->queue_size == 0 || device->queue_size > VRING_SIZE_MAX)
                return refuse(w, "size of vrings out of range", -EINVAL);
        if (device->postcopy > 1)
                return refuse(w, "postcopy neither on nor off", -EINVAL);
        return 0;
}

/* The descriptor goes at once: what is mapped stays. */
static int open_stats(struct worker *w, struct packet *packet)
{
        AUTO_FD file = fd_take(&packet->fd[1]);

        return stats_map(file.num, w->n_loops, &w->stats);
}

static int open_device(struct worker *w, const struct ipc_device *device, struct packet *packet)
{
        struct device_setup setup = { .device = device, .fence = &w->fence, .resource = &w->resource,
                                      .loops = w->n_loops, .log = &w->log };

        unsigned n = packet->n_fds;
        int r = 0;

        w->fence = fd_take(&packet->fd[0]);
        w->resource = w->postcopy.userfault = FD_NONE;
        if (device->postcopy && n > 2)
                r = postcopy_open(&w->postcopy, fd_take(&packet->fd[--n]), &w->log);
        if (n > 2)
                w->resource = fd_take(&packet->fd[2]);
        return r < 0 ? r : w->device->open(&setup, &w->face, &w->device_state);
}

static int make_vrings(struct worker *w)
{
        int r;

        w->n_vrings = w->face.queues;
        w->vring = calloc(w->n_vrings, sizeof(*w->vring));
        if (!w->vring)
                return -ENOMEM;
        for (unsigned i = 0; i < w->n_vrings; i++)
                vring_init(&w->vring[i], w, &w->loop[i % w->n_loops], i);
        dirty_log_init(&w->dirty);
        device_state_init(&w->state);
        r = iotlb_init(&w->iotlb);
        return r < 0 ? r : guest_mem_init(&w->mem);
}

static int make_loops(struct worker *w, uint32_t poll_max_us)
{
        w->loop = calloc(w->n_loops, sizeof(*w->loop));
        if (!w->loop)
                return -ENOMEM;
        park_init(&w->park);
        for (unsigned i = 0; i < w->n_loops; i++) {
                int r = loop_init(&w->loop[i], w, i, poll_max_us);

                if (r < 0)
                        return r;
        }
        return loop_watch_channel(&w->loop[0], w->link.channel);
}

/* All threads are made here, open the device for themselves, and park. */
static int open_loops(struct worker *w)
{
        int r = 0;

        if (w->n_loops > 1)
                park_want(&w->park);
        for (unsigned i = 1; i < w->n_loops; i++) {
                r = loop_spawn(&w->loop[i]);
                if (r < 0)
                        return r;
        }
        w->loop[0].error = loop_open(&w->loop[0]);
        park_close(&w->park, w->n_loops - 1);
        for (unsigned i = 0; r == 0 && i < w->n_loops; i++)
                r = w->loop[i].error;
        if (r == 0 && w->device->settle)
                w->device->settle(w->device_state);
        return r;
}

int worker_set_up(struct worker *w, const struct device *kind, const struct ipc_device *device,
                  struct packet *packet)
{
        int r;

        w->device = kind;
        r = check_device(w, device);
        if (r < 0)
                return r; /* has been logged */
        w->n_loops = device->threads;
        w->vring_size_max = device->queue_size;
        r = open_stats(w, packet);
        if (r < 0)
                return refuse(w, "statistics", r);
        r = open_device(w, device, packet);
        if (r < 0)
                return r; /* has been logged */
        r = make_loops(w, device->poll_max_us);
        if (r == 0)
                r = make_vrings(w);
        if (r == 0)
                r = open_loops(w);
        return r < 0 ? refuse(w, "set-up", r) : 0;
}
