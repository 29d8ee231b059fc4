/*
 * The device that holds; the rest is the worker's.
 */
#include "holder.h"

#include "rig.h"
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HELD_MAX = RIG_RING };

/* Of one loop; the first one's is the device's. */
struct holder {
        struct worker *worker; /* of the device only */
        struct chain *held[HELD_MAX];
        unsigned n;
};

static int holder_open(const struct device_setup *setup, struct device_face *ret_face, void **ret_device)
{
        ret_face->features = RIG_ACKED | VIRTIO_BIT(VIRTIO_F_RING_PACKED);
        ret_face->queues = RIG_QUEUES;
        ret_face->config_size = 1;
        *ret_device = calloc(setup->loops, sizeof(struct holder));
        return 0;
}

static int holder_loop_open(void *device, unsigned loop, void **ret_local, int *ret_wait_fd)
{
        *ret_local = (struct holder *) device + loop;
        *ret_wait_fd = -1;
        return 0;
}

static void holder_serve(void *local, struct chain *chain)
{
        struct holder *h = local;

        h->held[h->n++] = chain;
}

static bool holder_reap(void *local)
{
        struct holder *h = local;

        if (h->n == 0 || !*(volatile uint8_t *) h->held[0]->in.part[0].iov_base)
                return false;
        while (h->n)
                chain_done(h->held[--h->n], 1);
        return true;
}

/* Any byte will do, while all other loops are parked. */
static int holder_set_config(void *device, uint32_t offset, const uint8_t *bytes, uint32_t n, uint8_t *config)
{
        struct worker *w = ((struct holder *) device)->worker;
        bool parked;

        pthread_mutex_lock(&w->park.lock);
        parked = park_wanted(&w->park) && w->park.parked == w->n_loops - 1;
        pthread_mutex_unlock(&w->park.lock);
        if (!parked)
                return -EBUSY;
        memcpy(config + offset, bytes, n);
        return 0;
}

static const struct device holder = { .id = VIRTIO_ID_BLOCK,
                                      .name = "holder",
                                      .request_bytes = sizeof(struct chain),
                                      .open = holder_open,
                                      .loop_open = holder_loop_open,
                                      .serve = holder_serve,
                                      .reap = holder_reap,
                                      .set_config = holder_set_config };

_Noreturn void holder_run(void)
{
        static struct worker w;
        struct packet packet = { 0 };
        struct ipc_device device;

        link_init(&w.link, 0);
        w.log = (struct log){ .sink = link_log, .context = &w.link, .most = LOG_LEVEL_INFO };
        if (link_receive_device(&w.link, &packet) < 0)
                _exit(1);
        memcpy(&device, packet.body, sizeof(device));
        if (worker_set_up(&w, &holder, &device, &packet) < 0)
                _exit(1);
        ((struct holder *) w.device_state)->worker = &w;
        link_ready(&w, 0);
        loops_unpark(&w);
        loop_run(&w.loop[0]);
}
