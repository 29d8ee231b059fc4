/*
 * Parking: what loops share (memory map, vrings' configuration) changes only while every loop but the first stands
 * still. Costs the data path nothing but a look at `wanted`.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct park {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        atomic_bool wanted;
        unsigned parked;
};

void park_init(struct park *park);

/* The first loop: waits until `n` others are parked; they must have been woken. */
void park_close(struct park *park, unsigned n);

/* The first loop: lets them go. */
void park_open(struct park *park);

/* Announces park_close() to loops that poll. */
static inline void park_want(struct park *park)
{
        atomic_store_explicit(&park->wanted, true, memory_order_release);
}

static inline bool park_wanted(const struct park *park)
{
        return atomic_load_explicit(&park->wanted, memory_order_acquire);
}

/* Any other loop: stands still until it is let go. */
void park_here(struct park *park);
