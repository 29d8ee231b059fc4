/*
 * What a disk may hold under concurrent writes. Each sector knows the writes that can be in it: any that no later one
 * has replaced, "later" meaning begun after that one was seen completed. A write may be executed more than once while
 * it is not completed, and never after.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { MODEL_SECTOR = 512, MODEL_WORDS = MODEL_SECTOR / 8, MODEL_WRITES = 32 };

/* Of one sector; moments of struct model.now, 0: not yet. */
struct model_write {
        uint32_t generation;
        uint64_t begun, done, replaced;
};

struct model_sector {
        unsigned n;
        struct model_write write[MODEL_WRITES];
};

struct model {
        uint64_t now; /* counts events */
        uint32_t generations;
        unsigned n;
        struct model_sector *sector;
};

/* n sectors that hold rig_pattern(). -ENOMEM. */
int model_init(struct model *model, unsigned n);
void model_done(struct model *model);

/* A write of n sectors, or of zeros, begins; returns its generation. */
uint32_t model_begin(struct model *model, unsigned sector, unsigned n, bool zeros);

/* It was seen completed. */
void model_end(struct model *model, unsigned sector, unsigned n, uint32_t generation);

/* The bytes of that generation, n sectors. */
void model_fill(unsigned sector, unsigned n, uint32_t generation, void *to);

/*
 * How many of n sectors hold what a read that began at the moment `from` can't have found. A read beside a write may
 * see both, but no word of another.
 */
unsigned model_wrong(const struct model *model, unsigned sector, unsigned n, uint64_t from, const void *data);

/* The same for n sectors at rest: each whole, and of one write. */
unsigned model_wrong_at_rest(const struct model *model, unsigned sector, unsigned n, const void *data);
