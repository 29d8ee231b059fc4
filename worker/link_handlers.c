/*
 * What each packet of the session does. ipc_check() has judged its size and descriptors; handlers judge its meaning.
 * All loops are parked meanwhile.
 */
#include "link_internal.h"
#include "worker.h"

#include <errno.h>
#include <string.h>

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

bool link_all_idle(const struct worker *w)
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
        return LINK_LATER;
}

static int on_features(struct worker *w, struct packet *packet)
{
        const struct ipc_features *what = (const void *) packet->body;

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

static int on_mem_table(struct worker *w, struct packet *packet)
{
        const struct ipc_mem_table *what = (const void *) packet->body;
        struct guest_mem next;
        int r;

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

static int on_region_add(struct worker *w, struct packet *packet)
{
        const struct ipc_region_add *what = (const void *) packet->body;

        return guest_mem_add(&w->mem, what->slot, &what->region, packet->fd[0].num);
}

static int on_region_del(struct worker *w, struct packet *packet)
{
        const struct ipc_region_del *what = (const void *) packet->body;

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

static int on_inflight(struct worker *w, struct packet *packet)
{
        const struct ipc_inflight *what = (const void *) packet->body;
        struct inflight_area area;
        int r;

        if (any_started(w) || !link_all_idle(w))
                return -EBUSY;
        r = inflight_area_map(what, packet->fd[0].num, &area);
        if (r < 0)
                return r;
        inflight_area_done(&w->area);
        w->area = area;
        return 0;
}

static int on_vring_start(struct worker *w, struct packet *packet)
{
        const struct ipc_vring_start *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);
        struct fd fd[3] = { FD_NONE, FD_NONE, FD_NONE }; /* kick, call, err */
        unsigned n = 0;

        if (!vr || what->fds > (IPC_KICK | IPC_CALL | IPC_ERR) ||
            (unsigned) __builtin_popcount(what->fds) != packet->n_fds)
                return -EINVAL;
        for (unsigned i = 0; i < 3; i++)
                if (what->fds & 1u << i)
                        fd[i] = packet_fd(packet, n++);
        return vring_start(vr, what, fd[0], fd[1], fd[2]);
}

static int on_vring_stop(struct worker *w, struct packet *packet)
{
        const struct ipc_vring_stop *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);

        if (!vr)
                return -EINVAL;
        vring_drain(vr);
        return pend(w, packet, what->index);
}

static uint64_t finish_vring_stop(struct worker *w)
{
        return vring_stop(&w->vring[w->link.pending.index]);
}

static int on_vring_enable(struct worker *w, struct packet *packet)
{
        const struct ipc_vring_enable *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);

        if (!vr || what->enabled > 1)
                return -EINVAL;
        vring_enable(vr, what->enabled);
        return 0;
}

/* A vring that is not started gets its descriptors when it starts. */
static int on_vring_fd(struct worker *w, struct packet *packet)
{
        const struct ipc_vring_fd_change *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);

        if (!vr || (what->which != IPC_KICK && what->which != IPC_CALL && what->which != IPC_ERR))
                return -EINVAL;
        return vring_state_started(vr->state) ? vring_replace_fd(vr, what->which, packet_fd(packet, 0)) : 0;
}

static int on_set_config(struct worker *w, struct packet *packet)
{
        const struct ipc_set_config *what = (const void *) packet->body;
        struct ipc_config config = { .size = w->face.config_size };
        int r;

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

static int on_reset(struct worker *w, struct packet *packet)
{
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
static int on_ping(struct worker *w, struct packet *packet)
{
        (void) w;
        (void) packet;
        return 0;
}

const struct link_rule link_rules[IPC_TYPES] = {
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
