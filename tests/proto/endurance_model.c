/*
 * What a disk may hold under concurrent writes.
 */
#include "endurance_model.h"

#include "rig.h"

#include <stdlib.h>
#include <string.h>

enum { ZEROS = 1u << 30 };

int model_init(struct model *model, unsigned n)
{
        *model = (struct model){ .now = 1, .n = n, .sector = calloc(n, sizeof(*model->sector)) };
        for (unsigned i = 0; i < n && model->sector; i++) {
                model->sector[i].n = 1;
                model->sector[i].write[0].done = 1;
        }
        return model->sector ? 0 : -ENOMEM;
}

void model_done(struct model *model)
{
        free(model->sector);
        model->sector = NULL;
}

/* Room for one more: that of the write which was replaced longest ago, if there is no other. */
static struct model_write *room(struct model_sector *s)
{
        struct model_write *oldest = NULL;

        if (s->n < MODEL_WRITES)
                return &s->write[s->n++];
        for (unsigned i = 0; i < s->n; i++)
                if (s->write[i].replaced && (!oldest || s->write[i].replaced < oldest->replaced))
                        oldest = &s->write[i];
        ck_assert_msg(oldest, "more concurrent writes of one sector than the model can hold");
        return oldest;
}

uint32_t model_begin(struct model *model, unsigned sector, unsigned n, bool zeros)
{
        uint32_t generation = ++model->generations | (zeros ? ZEROS : 0);

        model->now++;
        for (unsigned i = 0; i < n; i++)
                *room(&model->sector[sector + i]) =
                        (struct model_write){ .generation = generation, .begun = model->now };
        return generation;
}

static struct model_write *write_of(struct model_sector *s, uint32_t generation)
{
        for (unsigned i = 0; i < s->n; i++)
                if (s->write[i].generation == generation)
                        return &s->write[i];
        return NULL;
}

void model_end(struct model *model, unsigned sector, unsigned n, uint32_t generation)
{
        model->now++;
        for (unsigned i = 0; i < n; i++) {
                struct model_sector *s = &model->sector[sector + i];
                struct model_write *mine = write_of(s, generation);

                mine->done = model->now;
                for (struct model_write *w = s->write; w < s->write + s->n; w++)
                        if (w->done && w->done < mine->begun && !w->replaced)
                                w->replaced = model->now;
        }
}

void model_fill(unsigned sector, unsigned n, uint32_t generation, void *to)
{
        uint64_t *word = to;

        if (!generation) {
                rig_pattern((uint64_t) sector * MODEL_SECTOR, to, (size_t) n * MODEL_SECTOR);
                return;
        }
        if (generation & ZEROS) {
                memset(to, 0, (size_t) n * MODEL_SECTOR);
                return;
        }
        for (unsigned i = 0; i < n * MODEL_WORDS; i++)
                word[i] = (((uint64_t) generation << 32 | (sector + i / MODEL_WORDS)) + 1) *
                                  UINT64_C(0x9e3779b97f4a7c15) +
                          i % MODEL_WORDS;
}

/* Which words of a sector are those of this write, as bits. */
static uint64_t matching(unsigned sector, uint32_t generation, const uint64_t *data)
{
        uint64_t want[MODEL_WORDS], bits = 0;

        model_fill(sector, 1, generation, want);
        for (unsigned i = 0; i < MODEL_WORDS; i++)
                bits |= (uint64_t) (want[i] == data[i]) << i;
        return bits;
}

unsigned model_wrong(const struct model *model, unsigned sector, unsigned n, uint64_t from, const void *data)
{
        unsigned wrong = 0;

        for (unsigned i = 0; i < n; i++) {
                const struct model_sector *s = &model->sector[sector + i];
                uint64_t bits = 0;

                for (const struct model_write *w = s->write; w < s->write + s->n; w++)
                        if (!w->replaced || w->replaced > from)
                                bits |= matching(sector + i, w->generation, (const uint64_t *) data + i * MODEL_WORDS);
                wrong += bits != UINT64_MAX;
        }
        return wrong;
}

unsigned model_wrong_at_rest(const struct model *model, unsigned sector, unsigned n, const void *data)
{
        unsigned wrong = 0;

        for (unsigned i = 0; i < n; i++) {
                const struct model_sector *s = &model->sector[sector + i];
                bool right = false;

                for (const struct model_write *w = s->write; w < s->write + s->n && !right; w++)
                        right = !w->replaced && matching(sector + i, w->generation,
                                                         (const uint64_t *) data + i * MODEL_WORDS) == UINT64_MAX;
                wrong += !right;
        }
        return wrong;
}
