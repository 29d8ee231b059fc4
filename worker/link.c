/*
 * The channel to the session: one handler per packet type, behind ipc_check(). Handlers run while all loops are
 * parked. Those that take something away from requests in flight are answered once these are finished; meanwhile
 * PING is answered, and one packet behind it is held back.
 */
#include "link.h"

#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LATER = 1, PACKETS_MAX = 16 }; /* packets in a row, before vrings get their turn */

typedef int link_handler(struct worker *w, struct packet *packet, uint64_t *ret_value);

void link_init(struct link *link, int channel)
{
        *link = (struct link){ .channel = channel, .peer = { .way = IPC_BROKER_TO_WORKER, .stage = IPC_NEW } };
}

void link_log(void *context, enum log_level level, const char *text)
{
        const struct link *link = context;
        struct ipc_log line = { .level = level };
        size_t n = strnlen(text, sizeof(line.text) - 1);

        memcpy(line.text, text, n);
        (void) packet_send(link->channel, IPC_WORKER_LOG, 0, &line, offsetof(struct ipc_log, text) + n + 1, NULL, 0);
}

/* A session that does not read, or is gone, is served no longer: its ledger outlives us. */
static void link_send(const struct link *link, enum ipc_type type, uint32_t sequence, const void *body, size_t n)
{
        if (packet_send(link->channel, type, sequence, body, n, NULL, 0) < 0)
                _exit(EXIT_FAILURE);
}

static void link_answer(const struct link *link, uint32_t sequence, int result, uint64_t value)
{
        const struct ipc_answer answer = { .result = result, .value = value };

        link_send(link, IPC_ANSWER, sequence, &answer, sizeof(answer));
}

int link_receive_device(struct link *link, struct packet *ret_packet)
{
        struct pollfd channel = { .fd = link->channel, .events = POLLIN };
        int r;

        while (poll(&channel, 1, -1) < 0)
                if (errno != EINTR)
                        return -errno;
        r = packet_recv(link->channel, PACKET_FDS_MAX, ret_packet);
        if (r < 0)
                return r;
        r = ipc_check(&link->peer, ret_packet);
        if (r < 0) {
                packet_done(ret_packet);
                return r;
        }
        link->peer.way = IPC_SESSION_TO_WORKER;
        link->peer.stage = IPC_UP;
        return 0;
}

int link_ready(struct worker *w, uint32_t lacks)
{
        struct ipc_ready ready = { .features = w->face.features, .device = w->device->id, .queues = w->n_vrings,
                                   .queue_size_max = WORKER_VRING_SIZE_MAX, .engine = w->face.engine,
                                   .lacks = lacks, .config_size = w->face.config_size };

        memcpy(ready.config, w->face.config, sizeof(ready.config));
        return packet_send(w->link.channel, IPC_READY, 0, &ready, sizeof(ready), NULL, 0);
}

void link_vring_broken(struct worker *w, uint32_t index, int error)
{
        const struct ipc_vring_broken broken = { .index = index, .error = error };

        link_send(&w->link, IPC_VRING_BROKEN, 0, &broken, sizeof(broken));
}

static struct vring *vring_at(struct worker *w, uint32_t index)
{
        return index < w->n_vrings ? &w->vring[index] : NULL;
}

static struct fd packet_fd(struct packet *packet, unsigned i)
{
        return i < packet->n_fds ? fd_take(&packet->fd[i]) : FD_NONE;
}

static bool any_started(const struct worker *w)
{
        for (unsigned i = 0; i < w->n_vrings; i++)
                if (vring_state_started(w->vring[i].state))
                        return true;
        return false;
}

static void drain_all(struct worker *w)
{
        for (unsigned i = 0; i < w->n_vrings; i++)
                vring_drain(&w->vring[i]);
}

static bool all_idle(const struct worker *w)
{
        for (unsigned i = 0; i < w->n_vrings; i++)
                if (!vring_idle(&w->vring[i]))
                        return false;
        return true;
}

/* The memory map has changed and nothing is in flight: vrings go on, or break. */
static void relocate_all(struct worker *w)
{
        for (unsigned i = 0; i < w->n_vrings; i++) {
                vring_relocate(&w->vring[i]);
                vring_resume(&w->vring[i]);
        }
}

static int pend(struct worker *w, const struct packet *packet, uint32_t index)
{
        w->link.pending = (struct link_pending){ .type = packet->header.type, .index = index,
                                                 .sequence = packet->header.sequence };
        return LATER;
}

static int on_features(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_features *what = (const void *) packet->body;

        (void) ret_value;
        if (what->acked & ~w->face.features || !(what->acked & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
                return -EINVAL;
        if (what->acked != w->acked && any_started(w))
                return -EBUSY;
        w->acked = what->acked;
        if (w->device->set_features)
                w->device->set_features(w->device_state, w->acked);
        for (unsigned i = 0; what->enable_all && i < w->n_vrings; i++)
                vring_enable(&w->vring[i], true);
        return 0;
}

static int on_mem_table(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_mem_table *what = (const void *) packet->body;
        struct guest_mem next;
        int r;

        (void) ret_value;
        if (what->n != packet->n_fds)
                return -EINVAL;
        r = guest_mem_plan(&w->mem, what, packet->fd, &next);
        if (r < 0)
                return r;
        if (guest_mem_drops(&w->mem, &next))
                drain_all(w);
        r = pend(w, packet, 0);
        w->link.pending.next = next;
        return r;
}

static uint64_t finish_mem_table(struct worker *w)
{
        guest_mem_commit(&w->mem, &w->link.pending.next);
        relocate_all(w);
        return 0;
}

static int on_region_add(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_region_add *what = (const void *) packet->body;

        (void) ret_value;
        return guest_mem_add(&w->mem, what->slot, &what->region, packet->fd[0].num);
}

static int on_region_del(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_region_del *what = (const void *) packet->body;

        (void) ret_value;
        if (!guest_mem_has(&w->mem, what->slot))
                return -ENOENT;
        drain_all(w);
        return pend(w, packet, what->slot);
}

static uint64_t finish_region_del(struct worker *w)
{
        guest_mem_del(&w->mem, w->link.pending.index);
        relocate_all(w);
        return 0;
}

static int on_inflight(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_inflight *what = (const void *) packet->body;
        struct inflight_area area;
        int r;

        (void) ret_value;
        if (any_started(w) || !all_idle(w))
                return -EBUSY;
        r = inflight_area_map(what, packet->fd[0].num, &area);
        if (r < 0)
                return r;
        inflight_area_done(&w->area);
        w->area = area;
        return 0;
}

static int on_vring_start(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_vring_start *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);
        struct fd fd[3] = { FD_NONE, FD_NONE, FD_NONE }; /* kick, call, err */
        unsigned n = 0;

        (void) ret_value;
        if (!vr || what->fds > (IPC_KICK | IPC_CALL | IPC_ERR) ||
            (unsigned) __builtin_popcount(what->fds) != packet->n_fds)
                return -EINVAL;
        for (unsigned i = 0; i < 3; i++)
                if (what->fds & 1u << i)
                        fd[i] = packet_fd(packet, n++);
        return vring_start(vr, what, fd[0], fd[1], fd[2]);
}

static int on_vring_stop(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_vring_stop *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);

        (void) ret_value;
        if (!vr)
                return -EINVAL;
        vring_drain(vr);
        return pend(w, packet, what->index);
}

static uint64_t finish_vring_stop(struct worker *w)
{
        return vring_stop(&w->vring[w->link.pending.index]);
}

static int on_vring_enable(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_vring_enable *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);

        (void) ret_value;
        if (!vr || what->enabled > 1)
                return -EINVAL;
        vring_enable(vr, what->enabled);
        return 0;
}

/* A vring that is not started gets its descriptors when it starts. */
static int on_vring_fd(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_vring_fd_change *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);

        (void) ret_value;
        if (!vr || (what->which != IPC_KICK && what->which != IPC_CALL && what->which != IPC_ERR))
                return -EINVAL;
        return vring_state_started(vr->state) ? vring_replace_fd(vr, what->which, packet_fd(packet, 0)) : 0;
}

static int on_set_config(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        const struct ipc_set_config *what = (const void *) packet->body;
        struct ipc_config config = { .size = w->face.config_size };
        int r;

        (void) ret_value;
        if (what->size == 0 || what->size > VU_CONFIG_MAX || what->offset > VU_CONFIG_MAX - what->size)
                return -EINVAL;
        if (!w->device->set_config)
                return -ENOTSUP;
        r = w->device->set_config(w->device_state, what->offset, what->bytes, what->size, w->face.config);
        if (r < 0)
                return r;
        memcpy(config.bytes, w->face.config, sizeof(config.bytes));
        link_send(&w->link, IPC_CONFIG, 0, &config, sizeof(config));
        return 0;
}

static int on_reset(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        (void) ret_value;
        drain_all(w);
        return pend(w, packet, 0);
}

static uint64_t finish_reset(struct worker *w)
{
        for (unsigned i = 0; i < w->n_vrings; i++) {
                vring_stop(&w->vring[i]);
                vring_enable(&w->vring[i], false);
                w->vring[i].kicked = false;
        }
        w->acked = 0;
        if (w->device->reset)
                w->device->reset(w->device_state, w->face.config);
        return 0;
}

/* Every loop has been parked for this: that is the proof of life which is asked for. */
static int on_ping(struct worker *w, struct packet *packet, uint64_t *ret_value)
{
        (void) w;
        (void) packet;
        (void) ret_value;
        return 0;
}

static const struct {
        link_handler *handle;
        uint64_t (*finish)(struct worker *w); /* after LATER; returns the answer's value */
} handlers[IPC_TYPES] = {
        [IPC_FEATURES] = { on_features, NULL },
        [IPC_MEM_TABLE] = { on_mem_table, finish_mem_table },
        [IPC_REGION_ADD] = { on_region_add, NULL },
        [IPC_REGION_DEL] = { on_region_del, finish_region_del },
        [IPC_INFLIGHT] = { on_inflight, NULL },
        [IPC_VRING_START] = { on_vring_start, NULL },
        [IPC_VRING_STOP] = { on_vring_stop, finish_vring_stop },
        [IPC_VRING_ENABLE] = { on_vring_enable, NULL },
        [IPC_VRING_FD] = { on_vring_fd, NULL },
        [IPC_SET_CONFIG] = { on_set_config, NULL },
        [IPC_RESET] = { on_reset, finish_reset },
        [IPC_PING] = { on_ping, NULL },
};

static bool pending_is_due(const struct worker *w)
{
        const struct link_pending *pending = &w->link.pending;

        switch (pending->type) {
        case 0:
                return false;
        case IPC_VRING_STOP:
                return vring_idle(&w->vring[pending->index]);
        case IPC_MEM_TABLE:
                return !guest_mem_drops(&w->mem, &pending->next) || all_idle(w);
        default:
                return all_idle(w);
        }
}

/* Loops are parked. */
static void link_try_finish(struct worker *w)
{
        struct link_pending *pending = &w->link.pending;
        uint64_t value;

        if (!pending_is_due(w))
                return;
        value = handlers[pending->type].finish(w);
        link_answer(&w->link, pending->sequence, 0, value);
        *pending = (struct link_pending){ 0 };
}

static void link_handle(struct worker *w, struct packet *packet)
{
        uint64_t value = 0;
        int r;

        loops_park(w);
        r = handlers[packet->header.type].handle(w, packet, &value);
        packet_done(packet);
        if (r < 0)
                log_warning(&w->log, "%s refused: %s", ipc_rule_of(packet->header.type)->name, log_errno(r));
        if (r == LATER)
                link_try_finish(w);
        else
                link_answer(&w->link, packet->header.sequence, r, value);
        loops_unpark(w);
}

/* The next packet, if there is one. A session that breaks the rules has a worker no longer. */
static int link_receive(struct worker *w)
{
        struct link *link = &w->link;
        int r = packet_recv(link->channel, PACKET_FDS_MAX, &link->packet);

        if (r == -EAGAIN)
                return r;
        if (r == -ENODATA)
                _exit(EXIT_SUCCESS);
        if (r == 0)
                r = ipc_check(&link->peer, &link->packet);
        if (r < 0) {
                log_error(&w->log, "packet type %u from session: %s", link->packet.header.type, log_errno(r));
                _exit(EXIT_FAILURE);
        }
        return 0;
}

static void link_hold(struct worker *w, bool held)
{
        if (w->link.held == held)
                return;
        w->link.held = held;
        loop_hold_channel(&w->loop[0], w->link.channel, held);
}

void link_serve(struct worker *w)
{
        struct link *link = &w->link;

        if (link->pending.type) {
                loops_park(w);
                link_try_finish(w);
                loops_unpark(w);
        }
        for (int i = 0; i < PACKETS_MAX; i++) {
                if (!link->held && link_receive(w) < 0)
                        return;
                if (link->pending.type && link->packet.header.type != IPC_PING) {
                        link_hold(w, true);
                        return;
                }
                link_hold(w, false);
                link_handle(w, &link->packet);
        }
}
