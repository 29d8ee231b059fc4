/*
 * How long a loop polls after work before it sleeps: a window that grows while polling pays and shrinks to nothing
 * when it does not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct poll_window {
        uint64_t most; /* ns; 0: never poll */
        uint64_t now;  /* ns */
};

/* Work came while polling, or `slept` ns after falling asleep, and the window adapts to it. */
void poll_window_paid(struct poll_window *window);
void poll_window_slept(struct poll_window *window, uint64_t slept);
