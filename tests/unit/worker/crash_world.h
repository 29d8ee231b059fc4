/*
 * A ring, its in-flight area and a driver, all in one piece of memory that can be copied at any moment: the world that
 * a dead worker leaves behind. The driver names its chains by serial numbers and counts how often each comes back.
 */
#pragma once

#include "worker.h"

enum { WORLD_RING = 8, WORLD_CHAINS = 128 };

struct world {
        bool packed, in_hand; /* in_hand: the driver is at work, the device is not */
        uint32_t size;
        char area[32 + 32 * WORLD_RING + 64] __attribute__((aligned(64)));
        struct vring_packed_desc slot[WORLD_RING];
        struct vring_packed_event driver, device;
        struct vring_desc desc[WORLD_RING] __attribute__((aligned(16)));
        le16 avail[3 + WORLD_RING];
        le16 used[3 + 4 * WORLD_RING] __attribute__((aligned(4)));

        /* The driver's own. */
        unsigned offered;             /* serials 0..offered - 1 */
        unsigned back[WORLD_CHAINS];  /* how often each was given back */
        unsigned length[WORLD_CHAINS]; /* slots of each */
        unsigned n_free;              /* entries of the ring */
        uint16_t owner[WORLD_RING];   /* split: serial by head */
        bool busy[WORLD_RING];
        uint16_t next_used;
        struct packed_position fill, take;
};

/* An empty ring that nothing has happened in. */
void world_init(struct world *world, bool packed, uint32_t size);

/* The driver offers one more chain of up to `length` entries; false: no room. */
bool world_offer(struct world *world, unsigned length);

/* The driver takes back what it finds; a failed assertion if that is not its own, or was given back before. */
void world_reap(struct world *world);

/* A worker's view of the world: one vring, started (anew or resumed). Free it with device_free(). */
struct device_side {
        struct worker worker;
        struct loop loop;
        struct chain_scratch scratch;
        struct vring vr;
        uint16_t done[WORLD_RING], again[WORLD_RING], order[WORLD_RING];
        struct inflight_slot slots[WORLD_RING];
        uint16_t held[WORLD_RING]; /* heads taken and not completed */
        unsigned n_held;
};

/* Owns nothing of the world. */
struct device_side *device_new(struct world *world);

/* As at VRING_START; returns what it does, 0 or -errno. */
int device_start(struct device_side *device, bool resume);

/* Which chain is this? */
unsigned device_serial(const struct device_side *device, const struct world *world, uint16_t head);

/* Takes up to n chains; returns how many. */
unsigned device_take(struct device_side *device, unsigned n);

/* Completes n chains that are held, the `pick`th first, and publishes them as one batch. */
void device_complete(struct device_side *device, unsigned n, unsigned pick);
