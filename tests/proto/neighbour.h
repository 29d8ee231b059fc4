/*
 * The device beside an attacked one, behind the same broker (rig option `neighbour`): its connection and its worker must
 * be the same ones at the end. All of these fail the test else.
 */
#pragma once

#include "rig.h"

struct neighbour {
        struct fe_device device;
        struct drv_blk blk;
};

/* Connects and starts it. The rig must outlive it. */
struct neighbour neighbour_move_in(const struct rig *rig);

/* It reads its disk, and was told nothing that it did not ask for. */
void neighbour_look_in(struct neighbour *n);

/* A last look, then it leaves. */
void neighbour_move_out(struct neighbour *n);

/* How hostile cases end: the attacked device serves a new connection, and the neighbour moves out. */
void neighbour_ending(const struct rig *rig, struct neighbour *n);
