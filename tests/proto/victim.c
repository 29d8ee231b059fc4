/*
 * A device with one ring to be written to by hand.
 */
#include "victim.h"

#include <poll.h>
#include <unistd.h>

struct victim victim_open(const struct rig *rig, unsigned size, bool packed)
{
        struct fe_options options = { .queues = 2, .queue_size = size, .packed = packed };
        struct victim v = { .device = rig_device(rig, options) };

        ck_assert(!packed == !(v.device.features & VIRTIO_BIT(VIRTIO_F_RING_PACKED)));
        v.well = rig_blk(&v.device, 1);
        OK(fe_mem_alloc(v.device.mem, 0, sizeof(struct virtio_blk_header), 16, &v.head));
        OK(fe_mem_alloc(v.device.mem, 0, 4096, 4096, &v.data));
        OK(fe_mem_alloc(v.device.mem, 0, 1, 1, &v.status));
        OK(fe_mem_alloc(v.device.mem, 0, 65536, 16, &v.table));
        *v.status.at = 0xee;
        v.neighbour = neighbour_move_in(rig);
        return v;
}

void victim_close(const struct rig *rig, struct victim *v)
{
        uint32_t base;

        rig_quiet(&v->device.conn);
        for (unsigned i = 0; i < 5; i++)
                rig_read_one(rig, &v->well);
        OK(fe_get_vring_base(&v->device.conn, 0, &base));
        drv_blk_done(&v->well);
        fe_device_drop(&v->device);
        neighbour_ending(rig, &v->neighbour);
}

void victim_kick(struct victim *v)
{
        (void) !write(v->device.vring[0]->kick.num, &(uint64_t){ 1 }, sizeof(uint64_t));
}

void victim_drain_call(struct victim *v)
{
        uint64_t count;

        rig_quiet(&v->device.conn);
        (void) !read(v->device.vring[0]->call.num, &count, sizeof(count));
}

void victim_breaks(struct rig *rig, struct victim *v)
{
        OK(fe_poll(v->device.vring[0]->err.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        OK(prog_log_wait(&rig->prog, 0, ": vring 0: ", FE_TIMEOUT_MS));
}

void victim_answers_or_breaks(struct rig *rig, struct victim *v)
{
        struct pollfd p[2] = { { .fd = v->device.vring[0]->err.num, .events = POLLIN },
                               { .fd = v->device.vring[0]->call.num, .events = POLLIN } };

        ck_assert_int_ge(poll(p, 2, FE_TIMEOUT_MS), 1);
        if (p[0].revents)
                victim_breaks(rig, v);
}

uint32_t victim_breaks_and_restarts(struct rig *rig, struct victim *v)
{
        struct drv_vring *ring = v->device.vring[0];
        struct drv_blk blk;
        uint32_t base;

        victim_breaks(rig, v);
        OK(fe_get_vring_base(&v->device.conn, 0, &base));
        drv_rebase(ring, 0);
        OK(fe_device_start_vring(&v->device, 0, drv_base(ring)));
        blk = rig_blk(&v->device, 0);
        rig_read_one(rig, &blk);
        drv_blk_done(&blk);
        return base;
}
