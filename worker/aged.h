/*
 * Requests found in flight, in the order in which they were taken.
 */
#pragma once

#include <stdint.h>

struct aged {
        uint64_t age; /* the counter in the in-flight area: hostile */
        uint16_t head;
};

/* Sorts by age, equal ones by head. In place, allocates nothing; n log n, whatever somebody wrote for ages. */
void aged_sort(struct aged *list, unsigned n);
