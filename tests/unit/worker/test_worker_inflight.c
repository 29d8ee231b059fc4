/*
 * In-flight tracking of both formats: a worker may die between any two of its stores, also while it recovers from an
 * earlier death, and every request comes back exactly once; what is resubmitted comes oldest first.
 */
#include "crash_world.h"
#include "stepper.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SEEDS = 4 };

struct scenario {
        struct world *world; /* the one that dies */
        struct world *later; /* copies of it, for those who come after */
        struct device_side *device; /* on the first; made beforehand, for it takes many steps */
        unsigned seed;
        unsigned deaths, second_deaths;
};

static unsigned random_of(unsigned *seed)
{
        *seed = *seed * 1664525 + 1013904223;
        return *seed >> 16;
}

/* A worker's life: chains of all lengths, batches of all sizes, completed in any order, over several laps. */
static void live(void *context)
{
        struct scenario *s = context;
        struct device_side *device = s->device;
        unsigned seed = s->seed;

        if (device_start(device, false) < 0)
                abort();
        for (unsigned round = 0; round < 12; round++) {
                s->world->in_hand = true;
                for (unsigned n = random_of(&seed) % 5; n && world_offer(s->world, 1 + random_of(&seed) % 4); n--)
                        ;
                s->world->in_hand = false;
                device_take(device, random_of(&seed) % 5);
                device_complete(device, random_of(&seed) % 5, random_of(&seed));
                s->world->in_hand = true;
                if (random_of(&seed) % 3) /* a slow driver */
                        world_reap(s->world);
                s->world->in_hand = false;
        }
}

/* What was given back, what is in flight and what will be fetched: each chain is one of these. */
static void check_resumed(const struct world *world, const struct device_side *device)
{
        int last = -1;

        for (unsigned i = 0; i < device->n_held; i++) {
                int serial = (int) device_serial(device, world, device->held[i]);

                ck_assert_int_lt(last, serial); /* they were taken in this order */
                ck_assert_uint_eq(world->back[serial], 0);
                last = serial;
        }
}

static void check_copies(const struct world *world, const struct device_side *device)
{
        struct vring_packed_desc list[WORLD_RING];

        for (unsigned i = 0; i < device->n_held; i++) {
                unsigned serial = device_serial(device, world, device->held[i]);
                unsigned n = inflight_packed_recall(&device->vr.packed.track, device->held[i], list, WORLD_RING);

                ck_assert_uint_eq(n, world->length[serial]);
                for (unsigned k = 0; k < n; k++) {
                        ck_assert_uint_eq(le64toh(list[k].addr), 0x1000u * serial + k);
                        ck_assert_uint_eq(le32toh(list[k].len), serial * 16u + k);
                        ck_assert_uint_eq(le16toh(list[k].flags) & VRING_DESC_F_NEXT, k + 1 < n);
                }
        }
}

/* The successor finishes all, and one more lap after that. */
static void check_finishes(struct world *world, struct device_side *device)
{
        for (unsigned lap = 0; lap < 3; lap++) {
                device_take(device, WORLD_RING);
                ck_assert_int_eq((int) device_take(device, WORLD_RING), 0);
                while (device->n_held) {
                        device_complete(device, 2, lap);
                        world_reap(world);
                }
                for (unsigned i = 0; i < world->offered; i++)
                        ck_assert_uint_eq(world->back[i], 1);
                ck_assert_uint_eq(world->n_free, world->size);
                while (world_offer(world, 1 + lap))
                        ;
        }
}

static void resume_and_finish(struct scenario *s)
{
        struct device_side *device = device_new(s->later);

        ck_assert_int_eq(device_start(device, true), 0);
        world_reap(s->later);
        check_resumed(s->later, device);
        if (s->later->packed)
                check_copies(s->later, device);
        check_finishes(s->later, device);
        free(device);
}

static void resume_only(void *context)
{
        struct scenario *s = context;

        if (device_start(s->device, true) < 0)
                abort();
}

static void dies_again(void *context, const void *state)
{
        struct scenario *s = context;

        memcpy(s->later, state, sizeof(*s->later));
        resume_and_finish(s);
        s->second_deaths++;
}

/* Dies while it resumes. */
static void resume_in_steps(const void *state)
{
        struct scenario s = { .world = stepper_memory(sizeof(struct world)), .later = malloc(sizeof(struct world)) };
        const struct stepper stepper = { s.world, sizeof(*s.world), resume_only, dies_again, &s };

        memcpy(s.world, state, sizeof(*s.world));
        s.device = device_new(s.world);
        stepper_run(&stepper);
        free(s.device);
        munmap(s.world, sizeof(*s.world));
        free(s.later);
}

/* A stop before the ring can be seen says how far the fetches went; of a split ring, less what is half settled. */
static void check_recorded(struct world *world)
{
        struct device_side *device = device_new(world);
        uint32_t recorded, base;

        ck_assert(device->vr.format->recorded(&device->vr, &recorded));
        ck_assert_int_eq(device_start(device, true), 0);
        base = device->vr.format->base(&device->vr);
        if (world->packed)
                ck_assert_uint_eq((uint16_t) recorded, (uint16_t) base);
        else
                ck_assert_uint_le((uint16_t) (base - recorded), 4);
        free(device);
}

static void dies(void *context, const void *state)
{
        struct scenario *s = context;

        memcpy(s->later, state, sizeof(*s->later));
        if (s->later->in_hand || ((const struct vu_inflight_packed *) (const void *) s->later->area)->version == 0)
                return;
        resume_and_finish(s);
        resume_in_steps(state);
        memcpy(s->later, state, sizeof(*s->later));
        check_recorded(s->later);
        s->deaths++;
}

static void run_scenario(bool packed, uint32_t size, unsigned seed)
{
        struct scenario s = { .world = stepper_memory(sizeof(struct world)), .later = malloc(sizeof(struct world)),
                              .seed = seed };
        const struct stepper stepper = { s.world, sizeof(*s.world), live, dies, &s };

        ck_assert(s.later != NULL);
        world_init(s.world, packed, size);
        s.device = device_new(s.world);
        stepper_run(&stepper);
        free(s.device);
        ck_assert_uint_ge(s.deaths, 100);
        munmap(s.world, sizeof(*s.world));
        free(s.later);
}

START_TEST(dies_at_any_store_split)
{
        run_scenario(false, _i % 2 ? 4 : 8, (unsigned) _i);
}
END_TEST

START_TEST(dies_at_any_store_packed)
{
        static const uint32_t sizes[] = { 8, 5, 3, 7 };

        run_scenario(true, sizes[_i % 4], (unsigned) _i);
}
END_TEST

/* An area in which two chains are in flight and two entries are free. */
struct spoilt {
        struct world world;
        struct device_side *device;
        struct vu_inflight_packed *header;
        struct vu_inflight_packed_desc *entry;
};

static struct spoilt *spoilt_new(void)
{
        struct spoilt *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);

        world_init(&s->world, true, 8);
        s->device = device_new(&s->world);
        s->header = (void *) s->world.area;
        s->entry = (void *) (s->header + 1);
        ck_assert_int_eq(device_start(s->device, false), 0);
        world_offer(&s->world, 4);
        world_offer(&s->world, 2);
        ck_assert_uint_eq(device_take(s->device, 2), 2);
        return s;
}

static int resume_spoilt(struct spoilt *s)
{
        struct device_side *device = device_new(&s->world);
        int r = device_start(device, true);

        free(device);
        return r;
}

/* The front-end can write anything into the area: it is refused, and left as it is. */
START_TEST(hostile_area_packed)
{
        struct spoilt *s = spoilt_new();
        struct vu_inflight_packed good = *s->header;
        struct vu_inflight_packed_desc entries[8];
        const struct {
                void *at;
                uint16_t value;
        } bad[] = {
                { &s->header->desc_num, 7 },         { &s->header->old_used_idx, 8 },
                { &s->header->old_free_head, 9 },    { &s->header->old_free_head, 0xffff },
                { &s->header->old_free_head, 5 },    { &s->header->old_free_head, 8 },
                { &s->entry[7].next, 6 },            { &s->entry[7].next, 4 },
                { &s->entry[6].next, 0xffff },       { &s->entry[0].num, 0 },
                { &s->entry[0].num, 9 },             { &s->entry[0].num, 5 },
                { &s->entry[0].num, 3 },             { &s->entry[0].last, 2 },
                { &s->entry[1].next, 1 },            { &s->entry[1].next, 8 },
                { &s->entry[4].next, 6 },            { &s->entry[0].inflight, 2 },
                { &s->entry[4].inflight, 0 },        { &s->entry[2].inflight, 1 },
        };

        memcpy(entries, s->entry, sizeof(entries));
        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                char before[sizeof(s->world.area)];
                int r;

                memcpy(bad[i].at, &bad[i].value, sizeof(bad[i].value));
                memcpy(before, s->world.area, sizeof(before));
                r = resume_spoilt(s);
                if (bad[i].at == &s->entry[2].inflight) { /* inside of a chain: without a meaning */
                        ck_assert_int_eq(r, 0);
                } else {
                        ck_assert_msg(r == -EPROTO, "case %u: %d", i, r);
                        ck_assert_mem_eq(before, s->world.area, sizeof(before));
                }
                *s->header = good;
                memcpy(s->entry, entries, sizeof(entries));
        }
        ck_assert_int_eq(resume_spoilt(s), 0);
        free(s->device);
        free(s);
}
END_TEST

/* A batch that was all the ring: its end is where it began, but for the wrap counter. */
START_TEST(a_batch_of_a_whole_lap)
{
        for (unsigned published = 0; published < 2; published++) {
                struct spoilt *s = spoilt_new();
                struct device_side *next;

                world_offer(&s->world, 2);
                ck_assert_uint_eq(device_take(s->device, 1), 1);
                inflight_packed_prepare(&s->device->vr.packed.track, s->device->held, 3,
                                        (struct packed_position){ 0, false });
                for (unsigned i = 0; i < 3 && published; i++)
                        s->device->vr.format->put(&s->device->vr, s->device->held[i], 0);
                if (published)
                        s->world.slot[0].flags = htole16(s->device->vr.packed.batch_flags);
                next = device_new(&s->world);
                ck_assert_int_eq(device_start(next, true), 0);
                ck_assert_uint_eq(next->vr.n_again, published ? 0 : 3);
                ck_assert_uint_eq(vring_packed.base(&next->vr) >> 16, published ? 0 : 0x8000);
                free(next);
                free(s->device);
                free(s);
        }
}
END_TEST

/* An area may be large enough for split rings only, or for vrings of less entries. */
START_TEST(area_too_small)
{
        struct world *world = aligned_alloc(64, (sizeof(*world) + 63) / 64 * 64);
        struct device_side *device;

        world_init(world, true, 8);
        device = device_new(world);
        device->worker.area.len = vu_inflight_bytes(8, false);
        ck_assert_int_eq(device_start(device, false), -EINVAL);
        device->worker.area.len = vu_inflight_bytes(8, true);
        ck_assert_int_eq(device_start(device, false), 0);
        device->vr.index = 1;
        ck_assert_int_eq(device_start(device, false), -EINVAL);
        device->vr.index = 0;
        device->worker.area.queue_size = 7;
        ck_assert_int_eq(device_start(device, false), -EINVAL);
        free(device);
        free(world);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: in-flight tracking");
        TCase *tcase = tcase_create("inflight");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tcase, 240);
        tcase_add_loop_test(tcase, dies_at_any_store_split, 0, SEEDS);
        tcase_add_loop_test(tcase, dies_at_any_store_packed, 0, 2 * SEEDS);
        tcase_add_test(tcase, hostile_area_packed);
        tcase_add_test(tcase, a_batch_of_a_whole_lap);
        tcase_add_test(tcase, area_too_small);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
