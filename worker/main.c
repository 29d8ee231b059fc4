/*
 * vhost-worker: the virtqueues of one device. Started by the broker with nothing but its channel, on all three
 * standard descriptors; ends when that hangs up.
 */
#include "worker.h"

#include "sandbox.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { CHANNEL = 0 };

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
        return 0;
}

static int open_device(struct worker *w, const struct ipc_device *device, struct packet *packet)
{
        struct device_setup setup = { .device = device, .fence = &w->fence, .resource = &w->resource,
                                      .loops = w->n_loops, .log = &w->log };

        w->fence = fd_take(&packet->fd[0]);
        w->resource = packet->n_fds > 1 ? fd_take(&packet->fd[1]) : FD_NONE;
        return w->device->open(&setup, &w->face, &w->device_state);
}

static int make_vrings(struct worker *w)
{
        w->n_vrings = w->face.queues;
        w->vring = calloc(w->n_vrings, sizeof(*w->vring));
        if (!w->vring)
                return -ENOMEM;
        for (unsigned i = 0; i < w->n_vrings; i++)
                vring_init(&w->vring[i], w, &w->loop[i % w->n_loops], i);
        return guest_mem_init(&w->mem);
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

static int set_up(struct worker *w, const struct ipc_device *device, struct packet *packet)
{
        int r;

        w->n_loops = device->threads;
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

static int start(struct worker *w, struct packet *packet)
{
        struct ipc_device device;
        uint32_t lacks;
        int r;

        r = link_receive_device(&w->link, packet);
        if (r < 0)
                return refuse(w, "opening packet", r);
        device = *(const struct ipc_device *) packet->body;
        w->device = device_of(device.device);
        r = check_device(w, &device);
        if (r == 0)
                r = sandbox_enter(&device, &w->log, &lacks);
        if (r == 0)
                r = set_up(w, &device, packet);
        if (r == 0)
                r = sandbox_narrow(w->device->id, w->face.engine, &w->log);
        packet_done(packet);
        return r < 0 ? r : link_ready(w, lacks);
}

int main(void)
{
        struct worker w = { .log = { .sink = link_log, .context = &w.link, .most = LOG_LEVEL_INFO } };
        struct packet packet = { 0 };

        signal(SIGPIPE, SIG_IGN); /* a call may be a pipe or a socket without a reader */
        mallopt(M_ARENA_MAX, 1);
        prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* or rooms that are filled page by page cost 2 MiB at once */
        link_init(&w.link, CHANNEL);
        if (start(&w, &packet) < 0)
                return EXIT_FAILURE;
        loops_unpark(&w);
        loop_run(&w.loop[0]);
}
