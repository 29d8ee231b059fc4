/*
 * The device beside an attacked one.
 */
#include "neighbour.h"

struct neighbour neighbour_move_in(const struct rig *rig)
{
        struct neighbour n;

        OK(fe_device_start(rig->other_socket, NULL, &n.device));
        n.blk = rig_blk(&n.device, 0);
        return n;
}

void neighbour_look_in(struct neighbour *n)
{
        uint8_t got[4096], want[4096];

        for (unsigned i = 0; i < 20; i++) {
                OK(drv_blk_read(&n->blk, i * 8, got, sizeof(got)));
                rig_pattern(i * 8 * 512, want, sizeof(want));
                ck_assert_mem_eq(got, want, sizeof(want));
        }
        rig_quiet(&n->device.conn);
}

void neighbour_move_out(struct neighbour *n)
{
        neighbour_look_in(n);
        drv_blk_done(&n->blk);
        OK(fe_device_stop(&n->device));
}

void neighbour_ending(const struct rig *rig, struct neighbour *n)
{
        rig_check_alive(rig);
        neighbour_move_out(n);
}
