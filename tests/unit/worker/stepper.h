/*
 * Every moment at which a process can die: a function runs in a child that stops after each machine instruction which
 * stores to the memory that it shares with us, and that state is looked at. Needs no hook in what is tested.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct stepper {
        void *shared; /* MAP_SHARED memory that `run` works on */
        size_t len;
        void (*run)(void *context);
        void (*look)(void *context, const void *state); /* in this process, with a copy of `shared` */
        void *context;
};

/* Fresh shared memory, zeroed; munmap() it. */
void *stepper_memory(size_t len);

/* Runs to the end; returns how many states were looked at. A failed assertion of check if the child does not end well. */
unsigned stepper_run(const struct stepper *stepper);
