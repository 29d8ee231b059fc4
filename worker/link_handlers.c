/*
 * What each packet of the session does. ipc_check() has judged its size and descriptors; handlers judge its meaning.
 * All loops are parked meanwhile.
 */
#include "claims.h"
#include "link_internal.h"
#include "vring_fds.h"
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

static void resume_all(struct worker *w)
{
        for (unsigned i = 0; i < w->n_vrings; i++)
                vring_resume(&w->vring[i]);
}

/* The memory map has changed and nothing is in flight: vrings go on, or break. */
static void relocate_all(struct worker *w)
{
        for (unsigned i = 0; i < w->n_vrings; i++)
                vring_relocate(&w->vring[i]);
        resume_all(w);
}

static int pend(struct worker *w, const struct packet *packet, uint32_t index)
{
        w->link.pending = (struct link_pending){ .type = packet->header.type, .index = index,
                                                 .sequence = packet->header.sequence };
        return LINK_LATER;
}

static void take_features(struct worker *w, uint64_t acked, bool iommu)
{
        w->acked = acked;
        w->mem.iotlb = iommu ? &w->iotlb : NULL;
        iotlb_clear(&w->iotlb);
        claims_features(w);
        if (w->device->set_features)
                w->device->set_features(w->device_state, acked);
}

static int on_features(struct worker *w, struct packet *packet)
{
        const struct ipc_features *what = (const void *) packet->body;

        if (what->acked & ~w->face.features || !(what->acked & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
                return -EINVAL;
        if (what->log_all > 1 || what->iommu > 1)
                return -EINVAL;
        if ((what->acked != w->acked || what->iommu != !!w->mem.iotlb) && any_started(w))
                return -EBUSY;
        if (!any_started(w))
                take_features(w, what->acked, what->iommu);
        for (unsigned i = 0; what->enable_all && i < w->n_vrings; i++)
                vring_enable(&w->vring[i], true);
        if (what->log_all == w->dirty.data)
                return 0;
        drain_all(w); /* what is in flight has not noted where it writes */
        return pend(w, packet, what->log_all);
}

static uint64_t finish_features(struct worker *w)
{
        w->dirty.data = w->link.pending.index;
        claims_features(w);
        resume_all(w);
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
        claims_memory(w);
        relocate_all(w);
        return 0;
}

static int on_region_add(struct worker *w, struct packet *packet)
{
        const struct ipc_region_add *what = (const void *) packet->body;
        int r = guest_mem_add(&w->mem, what->slot, &what->region, packet->fd[0].num);

        if (r == 0)
                claims_memory(w);
        return r;
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
        claims_memory(w);
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
        device_mode_take(w);
        return 0;
}

static void retry_all(struct worker *w, const struct ipc_iotlb *what)
{
        for (unsigned i = 0; i < w->n_vrings; i++)
                vring_retry(&w->vring[i], what->iova, what->last);
}

/* What is new disturbs nobody; what goes away waits for the requests that use it. */
static int on_iotlb(struct worker *w, struct packet *packet)
{
        const struct ipc_iotlb *what = (const void *) packet->body;
        uint64_t end;
        int r;

        if (what->last < what->iova || what->access & ~(uint32_t) (IPC_READ | IPC_WRITE) ||
            (what->access && __builtin_add_overflow(what->uva, what->last - what->iova, &end)))
                return -EINVAL;
        if (!w->mem.iotlb)
                return -EPROTO;
        if (what->access && !iotlb_conflicts(&w->iotlb, what)) {
                iotlb_add(&w->iotlb, what);
                retry_all(w, what);
                return 0;
        }
        drain_all(w);
        r = pend(w, packet, 0);
        w->link.pending.iotlb = *what;
        return r;
}

static uint64_t finish_iotlb(struct worker *w)
{
        const struct ipc_iotlb *what = &w->link.pending.iotlb;

        for (unsigned i = 0; i < w->n_vrings; i++)
                vring_unsettle(&w->vring[i]);
        iotlb_remove(&w->iotlb, what->iova, what->last);
        if (what->access)
                iotlb_add(&w->iotlb, what);
        relocate_all(w);
        if (what->access)
                retry_all(w, what);
        return 0;
}

static int on_dirty_log(struct worker *w, struct packet *packet)
{
        const struct ipc_dirty_log *what = (const void *) packet->body;

        return dirty_log_replace(&w->dirty, what, packet->fd[0].num);
}

static int on_dirty_log_fd(struct worker *w, struct packet *packet)
{
        int r = packet->n_fds ? call_adopt(packet->fd[0].num) : 0;

        if (r < 0)
                return r;
        fd_close(&w->dirty.call);
        w->dirty.call = packet_fd(packet, 0);
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
        if (postcopy_waits(w))
                return -EBUSY;
        for (unsigned i = 0; i < 3; i++)
                if (what->fds & 1u << i)
                        fd[i] = packet_fd(packet, n++);
        return vring_start(vr, what, fd[0], fd[1], fd[2]);
}

static int on_vring_stop(struct worker *w, struct packet *packet)
{
        const struct ipc_vring_stop *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);

        if (!vr || what->suspend > 1)
                return -EINVAL;
        vr->suspends = what->suspend;
        vring_drain(vr);
        return pend(w, packet, what->index);
}

static uint64_t finish_vring_stop(struct worker *w)
{
        struct vring *vr = &w->vring[w->link.pending.index];
        bool left;
        uint32_t base = vring_stop(vr, &left);

        return base | (left ? IPC_STOP_LEFT : 0);
}

static int on_vring_forget(struct worker *w, struct packet *packet)
{
        const struct ipc_vring_forget *what = (const void *) packet->body;
        const struct vring *vr = vring_at(w, what->index);

        if (!vr)
                return -EINVAL;
        if (vring_state_started(vr->state))
                return -EBUSY;
        return inflight_forget(&w->area, what->index, 0, w->acked & VIRTIO_BIT(VIRTIO_F_RING_PACKED));
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

/* Of a vring that is not started the next start says it all. */
static int on_vring_log(struct worker *w, struct packet *packet)
{
        const struct ipc_vring_log *what = (const void *) packet->body;
        struct vring *vr = vring_at(w, what->index);

        if (!vr || what->flags & ~(uint32_t) VU_VRING_F_LOG)
                return -EINVAL;
        if (vring_state_started(vr->state))
                vring_set_log(vr, what->flags, what->log);
        return 0;
}

static int on_set_config(struct worker *w, struct packet *packet)
{
        const struct ipc_set_config *what = (const void *) packet->body;
        int r;

        if (what->size == 0 || what->size > VU_CONFIG_MAX || what->offset > VU_CONFIG_MAX - what->size)
                return -EINVAL;
        if (!w->device->set_config)
                return -ENOTSUP;
        r = w->device->set_config(w->device_state, what->offset, what->bytes, what->size, w->face.config);
        if (r == 0) {
                device_mode_keep(w);
                link_config(w, false);
        }
        return r;
}

/* Requests in flight were judged by the old size, and nobody waits for them: the file has its new one already. */
static int on_resize(struct worker *w, struct packet *packet)
{
        const struct ipc_resize *what = (const void *) packet->body;
        int r;

        if (!w->device->resize)
                return -ENOTSUP;
        r = w->device->resize(w->device_state, what->capacity, w->face.config);
        if (r == 0)
                link_config(w, true);
        return r;
}

static int on_state_fd(struct worker *w, struct packet *packet)
{
        const struct ipc_state_fd *what = (const void *) packet->body;

        if (what->load > 1)
                return -EINVAL;
        if (any_started(w) || !link_all_idle(w))
                return -EBUSY;
        return device_state_begin(w, what->load, packet_fd(packet, 0));
}

static int on_state_check(struct worker *w, struct packet *packet)
{
        return pend(w, packet, 0);
}

static uint64_t finish_state_check(struct worker *w)
{
        return (uint64_t) -device_state_result(&w->state);
}

static int on_reset(struct worker *w, struct packet *packet)
{
        drain_all(w);
        return pend(w, packet, 0);
}

static uint64_t finish_reset(struct worker *w)
{
        bool left; /* nobody takes it up */

        for (unsigned i = 0; i < w->n_vrings; i++) {
                vring_stop(&w->vring[i], &left);
                vring_enable(&w->vring[i], false);
                w->vring[i].kicked = false;
        }
        w->acked = 0;
        w->mem.iotlb = NULL;
        w->dirty.data = false;
        claims_features(w);
        if (w->device->reset)
                w->device->reset(w->device_state);
        return 0;
}

static int on_postcopy(struct worker *w, struct packet *packet)
{
        const struct ipc_postcopy *what = (const void *) packet->body;

        if (what->step != IPC_POSTCOPY_WHERE)
                return postcopy_step(w, what->step);
        if (!w->postcopy.listening || !guest_mem_has(&w->mem, what->slot))
                return -ENOENT;
        return pend(w, packet, what->slot);
}

static uint64_t finish_postcopy(struct worker *w)
{
        return guest_mem_where(&w->mem, w->link.pending.index);
}

/* Every loop has been parked for this: that is the proof of life which is asked for. */
static int on_ping(struct worker *w, struct packet *packet)
{
        (void) w;
        (void) packet;
        return 0;
}

const struct link_rule link_rules[IPC_TYPES] = {
        [IPC_FEATURES] = { on_features, finish_features },
        [IPC_MEM_TABLE] = { on_mem_table, finish_mem_table },
        [IPC_REGION_ADD] = { on_region_add, NULL },
        [IPC_REGION_DEL] = { on_region_del, finish_region_del },
        [IPC_INFLIGHT] = { on_inflight, NULL },
        [IPC_IOTLB] = { on_iotlb, finish_iotlb },
        [IPC_DIRTY_LOG] = { on_dirty_log, NULL },
        [IPC_DIRTY_LOG_FD] = { on_dirty_log_fd, NULL },
        [IPC_VRING_START] = { on_vring_start, NULL },
        [IPC_VRING_STOP] = { on_vring_stop, finish_vring_stop },
        [IPC_VRING_FORGET] = { on_vring_forget, NULL },
        [IPC_VRING_ENABLE] = { on_vring_enable, NULL },
        [IPC_VRING_FD] = { on_vring_fd, NULL },
        [IPC_VRING_LOG] = { on_vring_log, NULL },
        [IPC_SET_CONFIG] = { on_set_config, NULL },
        [IPC_STATE_FD] = { on_state_fd, NULL },
        [IPC_STATE_CHECK] = { on_state_check, finish_state_check },
        [IPC_RESIZE] = { on_resize, NULL },
        [IPC_POSTCOPY] = { on_postcopy, finish_postcopy },
        [IPC_RESET] = { on_reset, finish_reset },
        [IPC_PING] = { on_ping, NULL },
};
