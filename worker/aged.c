/*
 * Heap sort: qsort() may allocate, which a worker can't any more, and an area of 32768 forged entries must not keep it.
 */
#include "aged.h"

#include <stdbool.h>

static bool is_before(const struct aged *a, const struct aged *b)
{
        return a->age != b->age ? a->age < b->age : a->head < b->head;
}

static void swap(struct aged *a, struct aged *b)
{
        struct aged was = *a;

        *a = *b;
        *b = was;
}

/* Lets what is at `at` sink to where both below it are older; of n. */
static void sink(struct aged *list, unsigned at, unsigned n)
{
        for (;;) {
                unsigned child = 2 * at + 1;

                if (child >= n)
                        return;
                if (child + 1 < n && is_before(&list[child], &list[child + 1]))
                        child++;
                if (!is_before(&list[at], &list[child]))
                        return;
                swap(&list[at], &list[child]);
                at = child;
        }
}

void aged_sort(struct aged *list, unsigned n)
{
        for (unsigned at = n / 2; at-- > 0;)
                sink(list, at, n);
        while (n > 1) {
                swap(&list[0], &list[--n]);
                sink(list, 0, n);
        }
}
