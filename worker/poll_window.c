/*
 * The adaptive window. A sleep shorter than the limit would have been caught by a longer window: grow. A longer one
 * would not: give polling up until sleeps get short again.
 */
#include "poll_window.h"

static const uint64_t least = 4000; /* ns: shorter than a sleep and a wake-up */

static void grow(struct poll_window *window)
{
        window->now = window->now < least ? least : window->now * 2;
        if (window->now > window->most)
                window->now = window->most;
}

void poll_window_paid(struct poll_window *window)
{
        if (window->now < least)
                grow(window);
}

void poll_window_slept(struct poll_window *window, uint64_t slept)
{
        if (slept <= window->most)
                grow(window);
        else
                window->now = 0;
}
