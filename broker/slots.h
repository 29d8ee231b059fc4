/*
 * Ids of the range namespace: which are free for a child, which are taken by one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct slots {
        uint32_t count;   /* ids 0..count-1; id 0 is the broker's own */
        bool shared;      /* there is one id for all: the broker's own */
        bool *taken;
};

/* -ENOMEM. */
int slots_init(struct slots *slots, uint32_t count, bool shared);
void slots_done(struct slots *slots);

/* Takes a free id: to be given back when its process has been reaped. -EBUSY: none left. */
int slots_take(struct slots *slots, uint32_t *ret_id);
void slots_give_back(struct slots *slots, uint32_t id);
