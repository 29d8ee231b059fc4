/*
 * A device with one ring to be written to by hand, and one beside it that must not notice; for hostile guests with rings
 * of either format. What fails, fails the test.
 */
#pragma once

#include "neighbour.h"

struct victim {
        struct fe_device device; /* queue 0 is for the hand */
        struct drv_blk well;     /* queue 1 */
        struct neighbour neighbour;
        struct fe_buf head, data, status, table; /* 16, 4096, 1 and 65536 bytes of its memory */
};

/* The rig has a neighbour, who moves in as well. Its rings have `size` entries and are packed as asked, or as no other format was agreed on. */
struct victim victim_open(const struct rig *rig, unsigned size, bool packed);

/* Queue 1, a new connection and the neighbour must work; ends both devices. */
void victim_close(const struct rig *rig, struct victim *v);

/* Kicks queue 0. */
void victim_kick(struct victim *v);

/* Takes the call that every start makes, so that the next one means something. */
void victim_drain_call(struct victim *v);

/* The ring answered (with any status), or broke and said so by its err fd and in the log; silence is neither. */
void victim_answers_or_breaks(struct rig *rig, struct victim *v);

/* Queue 0 breaks, and both say so. */
void victim_breaks(struct rig *rig, struct victim *v);

/* Queue 0 breaks, and starts again after GET_VRING_BASE, with an empty ring; returns the base that it told. */
uint32_t victim_breaks_and_restarts(struct rig *rig, struct victim *v);
