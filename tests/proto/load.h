/*
 * Verified load over several queues: reads, writes, zeroes and flushes at random, direct and indirect, of which the
 * model knows what each read may find. Fails the test that it serves as soon as something is lost, comes twice or is
 * wrong.
 */
#pragma once

#include "endurance_model.h"
#include "rig.h"

enum { LOAD_QUEUES = 4, LOAD_DEPTH = 16, LOAD_CASES = 4 };

/* A case is an engine and a format of rings. */
struct load_case {
        const char *name, *engine, *cache;
        bool packed, in_order;
};

extern const struct load_case load_cases[LOAD_CASES];

enum load_kind { LOAD_READ, LOAD_WRITE, LOAD_ZERO, LOAD_FLUSH };

struct load_job {
        enum load_kind kind;
        unsigned sector, n;
        uint32_t generation; /* LOAD_WRITE, LOAD_ZERO */
        uint64_t from;       /* moment of the model */
};

struct load_lane {
        struct drv_blk blk;
        struct load_job job[LOAD_DEPTH];
};

struct load {
        struct fe_device device;
        struct model model;
        struct load_lane lane[LOAD_QUEUES];
        uint64_t random;
        unsigned long requests, completed;
};

/* Starts a device of that rig, which must have been started for the same case. The same seed, the same requests. */
void load_start(struct load *load, const struct rig *rig, const struct load_case *c, uint64_t seed);

/* Ends the device and frees all; before that, drain. */
void load_stop(struct load *load);

/* A number of its own sequence, below n. */
uint64_t load_below(struct load *load, uint64_t n);

/* Keeps the queues full until so many requests have completed; they stay full. */
void load_work(struct load *load, unsigned completions);

/* Waits until nothing is in flight. */
void load_drain(struct load *load);

unsigned load_in_flight(const struct load *load);

/* With nothing in flight: the disk, by the test's own reading of the file. */
void load_check_disk(const struct load *load, const struct rig *rig);

/* A number from the environment. */
uint64_t load_number(const char *name, uint64_t otherwise);
