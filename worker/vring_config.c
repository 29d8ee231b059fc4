/*
 * A vring's life: start, drain, stop, enable, descriptors, memory that moves. Called by the first loop while all
 * others are parked.
 */
#include "vring.h"

#include "claims.h"
#include "vring_fds.h"
#include "vring_internal.h"
#include "worker.h"

#include <errno.h>
#include <sys/mman.h>

void vring_init(struct vring *vr, struct worker *worker, struct loop *loop, uint32_t index)
{
        *vr = (struct vring){ .index = index, .format = &vring_split, .worker = worker, .loop = loop,
                              .kick = FD_NONE, .call = FD_NONE, .err = FD_NONE };
        vr->claim = claims_of_vring(vr);
}

static size_t align_up(size_t bytes, size_t align)
{
        return (bytes + align - 1) / align * align;
}

/* Room for every request that can be in flight; pages that no request touches cost nothing. */
static int vring_make_room(struct vring *vr)
{
        size_t stride = align_up(vr->worker->device->request_bytes, 64);
        size_t requests = vr->size * stride, heads = align_up(vr->size * sizeof(uint16_t), 64);
        size_t parts = vring_rooms(vr) * (size_t) CHAIN_PARTS_MAX;
        size_t slots = align_up(vr->size * sizeof(struct inflight_slot), 64);
        size_t len = requests + 4 * heads + slots + parts * (sizeof(*vr->spill) + sizeof(*vr->writes));
        char *room = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (room == MAP_FAILED)
                return -errno;
        vr->room = room;
        vr->room_len = len;
        vr->done = (uint16_t *) room; /* one page with the first requests: most rings need no more */
        vr->requests = room + heads;
        vr->stride = stride;
        vr->again = (uint16_t *) (room + requests + heads);
        vr->order = (uint16_t *) (room + requests + 2 * heads);
        vr->rooms = (uint16_t *) (room + requests + 3 * heads);
        vr->slots = (struct inflight_slot *) (room + requests + 4 * heads);
        vr->spill = (struct iovec *) (room + requests + 4 * heads + slots);
        vr->writes = (struct gpa_range *) (vr->spill + parts);
        return 0;
}

/* Gives up all that vring_start() made; keeps the base. */
static void vring_clear(struct vring *vr)
{
        if (fd_has(&vr->kick))
                loop_unwatch(vr->loop, vr->kick.num);
        fd_close(&vr->kick);
        fd_close(&vr->call);
        fd_close(&vr->err);
        if (vr->room)
                munmap(vr->room, vr->room_len);
        vr->room = NULL;
        vr->inflight = (struct inflight){ 0 };
        vr->packed.track = (struct inflight_packed){ 0 };
        vr->n_order = vr->oldest = 0;
        vr->n_done = vr->busy = vr->n_rooms = vr->new_rooms = vr->n_again = vr->next_again = 0;
        vr->full = vr->suspends = vr->kicked = vr->call_due = vr->drains = vr->attached = vr->positioned = vr->stalled =
                vr->dormant = false;
}

static int vring_adopt_kick(struct vring *vr)
{
        int r;

        if (!fd_has(&vr->kick))
                return 0;
        r = kick_adopt(vr->kick.num, &vr->kick_drains);
        return r < 0 ? r : loop_watch_kick(vr->loop, vr, vr->kick.num);
}

static int vring_adopt_fds(struct vring *vr)
{
        int r = fd_has(&vr->call) ? call_adopt(vr->call.num) : 0;

        if (r == 0 && fd_has(&vr->err))
                r = call_adopt(vr->err.num);
        return r < 0 ? r : vring_adopt_kick(vr);
}

int vring_span(struct vring *vr, struct uva from, uint64_t len, unsigned align, uint32_t access,
               struct span *ret_span)
{
        const struct guest_mem *mem = &vr->worker->mem;
        int r = guest_span_ring(mem, from, len, align, access, ret_span);

        if (r == -EAGAIN && !vr->dormant)
                vring_stall(vr, guest_first_miss(mem, (struct gpa){ from.at }, len, access), access);
        return r;
}

int vring_attach(struct vring *vr)
{
        int r;

        vr->attached = false;
        r = vr->format->resolve(vr);
        if (r == -EAGAIN)
                return 0;
        if (r == 0 && !vr->positioned)
                r = vr->format->position(vr, &vr->start);
        if (r < 0)
                return r;
        vr->attached = vr->positioned = true;
        vr->dormant = false;
        vring_set_log(vr, vr->start.flags, vr->start.log);
        vr->kicked = true;
        return 0;
}

static int vring_set_up(struct vring *vr, const struct ipc_vring_start *what)
{
        uint64_t acked = vr->worker->acked;
        bool packed = acked & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
        int r;

        if (what->size == 0 || what->size > vr->worker->vring_size_max || (!packed && what->size & (what->size - 1)))
                return -EINVAL;
        vr->start = *what;
        vr->format = packed ? &vring_packed : &vring_split;
        vr->size = what->size;
        vr->desc_at = (struct uva){ what->desc };
        vr->avail_at = (struct uva){ what->avail };
        vr->used_at = (struct uva){ what->used };
        vr->event_idx = acked & VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
        vr->indirect = acked & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
        vr->in_order = acked & VIRTIO_BIT(VIRTIO_F_IN_ORDER);
        vr->signalled_valid = false;
        vr->call_due = what->resume;
        r = vring_make_room(vr);
        if (r == 0 && !what->resume) /* behind an IOMMU we may die before we can begin: a successor resumes */
                r = inflight_forget(&vr->worker->area, vr->index, vr->size, packed);
        if (r == 0)
                r = vring_attach(vr);
        return r < 0 ? r : vring_adopt_fds(vr);
}

int vring_start(struct vring *vr, const struct ipc_vring_start *what, struct fd kick, struct fd call, struct fd err)
{
        int r = -EBUSY;

        if (vring_state_started(vr->state) || vr->state == BROKEN) {
                fd_close(&kick);
                fd_close(&call);
                fd_close(&err);
                return r;
        }
        vr->kick = kick;
        vr->call = call;
        vr->err = err;
        r = vring_set_up(vr, what);
        if (r < 0) {
                vring_clear(vr);
                return r;
        }
        vring_turn(vr, VRING_START);
        vring_turn(vr, what->enabled ? VRING_ENABLE : VRING_DISABLE);
        vr->kicked = true;
        return 0;
}

void vring_drain(struct vring *vr)
{
        vr->drains = true;
        claims_vring(vr);
        vr->kicked = true;
}

void vring_resume(struct vring *vr)
{
        vr->drains = false;
        claims_vring(vr);
        vr->kicked = true;
}

/* A successor that never saw the ring knows of its requests by the in-flight area only. */
static bool vring_leaves(struct vring *vr)
{
        if (vr->positioned || !vr->start.resume)
                return vr->next_again < vr->n_again;
        return vr->format->recorded(vr, &vr->start.base);
}

uint32_t vring_stop(struct vring *vr, bool *ret_left)
{
        *ret_left = vring_state_started(vr->state) && vring_leaves(vr);
        if (vr->positioned)
                vr->start.base = vr->format->base(vr);
        vring_clear(vr);
        vring_turn(vr, VRING_STOP);
        return vr->start.base;
}

void vring_enable(struct vring *vr, bool enabled)
{
        vring_turn(vr, enabled ? VRING_ENABLE : VRING_DISABLE);
        vr->kicked = true;
}

/* The new one is judged and watched before the old one goes: a refusal changes nothing. */
static int vring_replace_kick(struct vring *vr, struct fd *fd)
{
        bool drains = false;
        int r = fd_has(fd) ? kick_adopt(fd->num, &drains) : 0;

        if (r == 0 && fd_has(fd))
                r = loop_watch_kick(vr->loop, vr, fd->num);
        if (r < 0)
                return r;
        if (fd_has(&vr->kick))
                loop_unwatch(vr->loop, vr->kick.num);
        fd_close(&vr->kick);
        vr->kick = fd_take(fd);
        vr->kick_drains = drains;
        vr->dormant = false; /* the kick that it sleeps for may have come by the old one, or will by none */
        vr->kicked = true;
        return 0;
}

static int vring_replace_call(struct vring *vr, struct fd *slot, struct fd *fd)
{
        int r = fd_has(fd) ? call_adopt(fd->num) : 0;

        if (r < 0)
                return r;
        fd_close(slot);
        *slot = fd_take(fd);
        if (slot == &vr->call)
                vr->call_due = true;
        return 0;
}

int vring_replace_fd(struct vring *vr, uint32_t which, struct fd fd)
{
        AUTO_FD new = fd;

        if (which == IPC_KICK)
                return vring_replace_kick(vr, &new);
        return vring_replace_call(vr, which == IPC_CALL ? &vr->call : &vr->err, &new);
}

/*
 * All of the used ring is noted at once: a predecessor may have died between a store and its note. Behind an IOMMU the
 * log address is an iova; we know what that stands for.
 */
void vring_set_log(struct vring *vr, uint32_t flags, uint64_t log)
{
        vr->start.flags = flags;
        vr->start.log = log;
        vr->log_ring = flags & VU_VRING_F_LOG;
        claims_vring(vr);
        vr->log_at = vr->worker->mem.iotlb ? vr->used_gpa : (struct gpa){ log };
        if (vr->attached)
                vr->format->log_all(vr);
}

void vring_retry(struct vring *vr, uint64_t iova, uint64_t last)
{
        if (!vr->stalled || vr->missed < iova || vr->missed > last)
                return;
        vr->stalled = false;
        claims_vring(vr);
        vr->kicked = true; /* and if it is not attached, that is what its loop begins with */
}

void vring_unsettle(struct vring *vr)
{
        if (vring_state_started(vr->state) && vr->attached)
                vr->dormant = fd_has(&vr->kick) && vr->next_again == vr->n_again && !vr->format->ask_kicks(vr);
}

void vring_relocate(struct vring *vr)
{
        struct chain_fault fault = { .what = "its memory at user address 0x%llx is gone", .value = vr->desc_at.at };
        int r;

        if (!vring_state_started(vr->state) || !vr->attached)
                return;
        r = vring_attach(vr);
        if (r < 0)
                vring_break(vr, r, &fault);
}
