/*
 * Ids of the range namespace. An id is taken as long as a process with it may live, so that no two devices ever
 * share one.
 */
#include "slots.h"

#include <errno.h>
#include <stdlib.h>

int slots_init(struct slots *slots, uint32_t count, bool shared)
{
        *slots = (struct slots){ .count = count, .shared = shared };
        slots->taken = calloc(count, sizeof(*slots->taken));
        return slots->taken ? 0 : -ENOMEM;
}

void slots_done(struct slots *slots)
{
        free(slots->taken);
        slots->taken = NULL;
}

int slots_take(struct slots *slots, uint32_t *ret_id)
{
        if (slots->shared) {
                *ret_id = 0;
                return 0;
        }
        for (uint32_t id = 1; id < slots->count; id++)
                if (!slots->taken[id]) {
                        slots->taken[id] = true;
                        *ret_id = id;
                        return 0;
                }
        return -EBUSY;
}

void slots_give_back(struct slots *slots, uint32_t id)
{
        if (!slots->shared && id < slots->count)
                slots->taken[id] = false;
}
