/*
 * The packed ring's talk with the driver: when it fetches, when it calls, when it asks for kicks; and its positions.
 */
#include "crash_world.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 8, AVAIL = VRING_PACKED_DESC_F_AVAIL, USED = VRING_PACKED_DESC_F_USED };

struct fixture {
        struct world world;
        struct device_side *device;
        struct vring *vr;
};

static struct fixture *fixture_new(uint32_t size, bool event_idx)
{
        struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);

        world_init(&f->world, true, size);
        f->device = device_new(&f->world);
        f->vr = &f->device->vr;
        f->vr->event_idx = event_idx;
        ck_assert_int_eq(device_start(f->device, false), 0);
        return f;
}

static void fixture_free(struct fixture *f)
{
        free(f->device);
        free(f);
}

/* One chain of n slots comes and goes. */
static void pass(struct fixture *f, unsigned n)
{
        ck_assert(world_offer(&f->world, n));
        ck_assert_uint_eq(device_take(f->device, 1), 1);
        device_complete(f->device, 1, 0);
        world_reap(&f->world);
}

static void driver_area(struct fixture *f, uint16_t slot, bool wrap, uint16_t flags)
{
        f->world.driver.off_wrap = htole16(slot | (wrap ? VRING_PACKED_WRAP : 0));
        f->world.driver.flags = htole16(flags);
}

START_TEST(without_event_idx_the_flags_rule)
{
        struct fixture *f = fixture_new(SIZE, false);

        pass(f, 1);
        ck_assert(vring_packed.wants_call(f->vr));
        driver_area(f, 0, false, VRING_PACKED_EVENT_DISABLE);
        pass(f, 1);
        ck_assert(!vring_packed.wants_call(f->vr));
        driver_area(f, 5, true, VRING_PACKED_EVENT_DESC); /* not negotiated: reserved, so better call */
        pass(f, 1);
        ck_assert(vring_packed.wants_call(f->vr));
        vring_packed.refuse_kicks(f->vr);
        ck_assert_uint_eq(le16toh(f->world.device.flags), VRING_PACKED_EVENT_DISABLE);
        ck_assert(!vring_packed.ask_kicks(f->vr));
        ck_assert_uint_eq(le16toh(f->world.device.flags), VRING_PACKED_EVENT_ENABLE);
        fixture_free(f);
}
END_TEST

/* For every slot at which the driver may wait, in this lap and the next, over many laps: once, and when it is passed. */
START_TEST(with_event_idx_the_slot_rules)
{
        for (unsigned ahead = 0; ahead < SIZE; ahead++)
                for (unsigned start = 0; start < 2 * SIZE; start++) {
                        struct fixture *f = fixture_new(SIZE, true);
                        struct packed_position event;
                        unsigned at;

                        for (unsigned i = 0; i <= start; i++)
                                pass(f, 1);
                        ck_assert(vring_packed.wants_call(f->vr)); /* the first one is never suppressed */
                        event = f->world.take;
                        at = event.slot + ahead;
                        driver_area(f, (uint16_t) (at % SIZE), at < SIZE ? event.wrap : !event.wrap,
                                    VRING_PACKED_EVENT_DESC);
                        for (unsigned i = 0; i < SIZE; i++) {
                                pass(f, 1);
                                ck_assert_int_eq(vring_packed.wants_call(f->vr), i == ahead);
                        }
                        fixture_free(f);
                }
}
END_TEST

START_TEST(a_chain_passes_all_its_slots)
{
        struct fixture *f = fixture_new(SIZE, true);

        pass(f, 1);
        vring_packed.wants_call(f->vr);
        driver_area(f, 2, true, VRING_PACKED_EVENT_DESC); /* in the middle of slots 1..3 */
        pass(f, 3);
        ck_assert(vring_packed.wants_call(f->vr));
        ck_assert(!vring_packed.wants_call(f->vr));
        driver_area(f, 0x7fff, true, VRING_PACKED_EVENT_DESC); /* no such slot */
        pass(f, 2);
        ck_assert(!vring_packed.wants_call(f->vr));
        fixture_free(f);
}
END_TEST

START_TEST(asks_for_kicks_and_looks_again)
{
        struct fixture *f = fixture_new(5, true);

        pass(f, 4);
        ck_assert(!vring_packed.ask_kicks(f->vr));
        ck_assert_uint_eq(le16toh(f->world.device.off_wrap), 4 | VRING_PACKED_WRAP);
        ck_assert_uint_eq(le16toh(f->world.device.flags), VRING_PACKED_EVENT_DESC);
        pass(f, 3);
        ck_assert(!vring_packed.ask_kicks(f->vr));
        ck_assert_uint_eq(le16toh(f->world.device.off_wrap), 2); /* the second lap */
        ck_assert(!vring_packed.pending(f->vr));
        world_offer(&f->world, 1); /* came in between */
        ck_assert(vring_packed.ask_kicks(f->vr));
        ck_assert(vring_packed.pending(f->vr));
        vring_packed.refuse_kicks(f->vr);
        ck_assert_uint_eq(le16toh(f->world.device.flags), VRING_PACKED_EVENT_DISABLE);
        fixture_free(f);
}
END_TEST

/* Of a batch nothing is visible before the first entry is, whose flags come last. */
START_TEST(the_first_of_a_batch_hides_it)
{
        struct fixture *f = fixture_new(SIZE, true);
        struct vring *vr = f->vr;

        for (unsigned i = 0; i < 3; i++)
                world_offer(&f->world, 2);
        ck_assert_uint_eq(device_take(f->device, 3), 3);
        for (unsigned i = 0; i < 3; i++) {
                vr->format->put(vr, f->device->held[i], i);
                vr->done[vr->n_done++] = f->device->held[i];
                world_reap(&f->world);
                ck_assert_uint_eq(f->world.n_free, SIZE - 6);
        }
        vr->format->publish(vr);
        world_reap(&f->world);
        ck_assert_uint_eq(f->world.n_free, SIZE);
        ck_assert_uint_eq(le32toh(f->world.slot[4].len), 2);
        fixture_free(f);
}
END_TEST

/* A driver that offers what is in flight already, or a chain without an end. */
START_TEST(fetches_within_bounds)
{
        struct fixture *f = fixture_new(SIZE, true);
        struct chain_fault fault;
        uint16_t head;

        for (unsigned i = 0; i < SIZE; i++)
                f->world.slot[i].flags = htole16(AVAIL | VRING_DESC_F_NEXT);
        ck_assert_int_eq(vring_packed.next(f->vr, &head, &fault), -EPROTO);
        for (unsigned i = 0; i < SIZE; i++)
                f->world.slot[i].flags = htole16(AVAIL);
        ck_assert_uint_eq(device_take(f->device, 100), SIZE);
        for (unsigned i = 0; i < SIZE; i++)
                f->world.slot[i].flags = htole16(USED);
        ck_assert_int_eq(vring_packed.next(f->vr, &head, &fault), -EPROTO);
        ck_assert_uint_eq(fault.value, 0);
        fixture_free(f);
}
END_TEST

static int start_at(struct fixture *f, uint32_t base)
{
        return vring_packed.position(f->vr, &(struct ipc_vring_start){ .base = base });
}

START_TEST(bases)
{
        struct fixture *f = fixture_new(5, true);

        ck_assert_uint_eq(vring_packed.base(f->vr), VRING_PACKED_BASE_FRESH);
        ck_assert_int_eq(start_at(f, 0x00038003), -EINVAL); /* between the two lies what nobody knows */
        ck_assert_int_eq(start_at(f, 0x80058005), -EINVAL); /* no such slot */
        ck_assert_int_eq(start_at(f, 0x80038003), 0);
        ck_assert_uint_eq(vring_packed.base(f->vr), 0x80038003);
        ck_assert_int_eq(start_at(f, 0x8002), 0); /* no upper half: as the lower one */
        ck_assert_uint_eq(vring_packed.base(f->vr), 0x80028002);
        ck_assert_int_eq(start_at(f, 0x00010001), 0);
        f->world.fill = f->world.take = (struct packed_position){ 1, false };
        for (unsigned i = 0; i < 5; i++)
                f->world.slot[i].flags = htole16(i < 1 ? 0 : AVAIL | USED);
        pass(f, 2);
        ck_assert_uint_eq(vring_packed.base(f->vr), 0x00030003);
        pass(f, 4);
        ck_assert_uint_eq(vring_packed.base(f->vr), 0x80028002);
        fixture_free(f);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: packed rings");
        TCase *tcase = tcase_create("vring_packed");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(tcase, without_event_idx_the_flags_rule);
        tcase_add_test(tcase, with_event_idx_the_slot_rules);
        tcase_add_test(tcase, a_chain_passes_all_its_slots);
        tcase_add_test(tcase, asks_for_kicks_and_looks_again);
        tcase_add_test(tcase, the_first_of_a_batch_hides_it);
        tcase_add_test(tcase, fetches_within_bounds);
        tcase_add_test(tcase, bases);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
