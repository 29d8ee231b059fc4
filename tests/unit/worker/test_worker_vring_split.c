/*
 * The split ring's talk with the driver: when it fetches, when it calls, when it asks for kicks.
 */
#include "worker.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 8 };

struct fixture {
        struct vring vr;
        struct vring_desc desc[SIZE];
        le16 avail[3 + SIZE]; /* flags, idx, ring, used_event */
        le16 used[3 + 4 * SIZE] __attribute__((aligned(4))); /* flags, idx, elements, avail_event */
} __attribute__((aligned(16)));

static struct fixture *fixture_new(bool event_idx)
{
        struct fixture *f = aligned_alloc(16, sizeof(*f));

        memset(f, 0, sizeof(*f));
        f->vr = (struct vring){ .format = &vring_split, .size = SIZE, .event_idx = event_idx, .desc = f->desc,
                                .avail = (void *) f->avail, .used = (void *) f->used };
        return f;
}

static void put(struct vring *vr, unsigned n)
{
        while (n--)
                vr->format->put(vr, 0, 0);
        vr->format->publish(vr);
}

START_TEST(without_event_idx_the_flag_rules)
{
        struct fixture *f = fixture_new(false);

        put(&f->vr, 1);
        ck_assert(vring_split.wants_call(&f->vr));
        f->avail[0] = htole16(VRING_AVAIL_F_NO_INTERRUPT);
        put(&f->vr, 1);
        ck_assert(!vring_split.wants_call(&f->vr));
        vring_split.refuse_kicks(&f->vr);
        ck_assert_uint_eq(le16toh(f->used[0]), VRING_USED_F_NO_NOTIFY);
        ck_assert(!vring_split.ask_kicks(&f->vr));
        ck_assert_uint_eq(le16toh(f->used[0]), 0);
        free(f);
}
END_TEST

/* Over the wrap of the 16-bit index too. */
START_TEST(with_event_idx_the_index_rules)
{
        for (unsigned start = 0; start < 65536; start += 13107) {
                struct fixture *f = fixture_new(true);
                struct vring *vr = &f->vr;

                f->avail[0] = htole16(VRING_AVAIL_F_NO_INTERRUPT); /* must be ignored */
                vr->used_idx = (uint16_t) (start + 65530);
                vr->signalled = 12345; /* stale: must not matter */
                f->avail[2 + SIZE] = htole16((uint16_t) (vr->used_idx + 1000));
                put(vr, 1);
                ck_assert(vring_split.wants_call(vr)); /* the first one is never suppressed */
                put(vr, 1);
                ck_assert(!vring_split.wants_call(vr));
                f->avail[2 + SIZE] = htole16((uint16_t) (vr->used_idx + 2)); /* after three more */
                put(vr, 2);
                ck_assert(!vring_split.wants_call(vr));
                put(vr, 3);
                ck_assert(vring_split.wants_call(vr));
                put(vr, 1);
                ck_assert(!vring_split.wants_call(vr));
                ck_assert(!vring_split.wants_call(vr)); /* nothing new */
                free(f);
        }
}
END_TEST

START_TEST(asks_for_kicks_and_looks_again)
{
        struct fixture *f = fixture_new(true);
        struct vring *vr = &f->vr;

        vr->next_avail = vr->seen_avail = 7;
        f->avail[1] = htole16(7);
        ck_assert(!vring_split.ask_kicks(vr));
        ck_assert_uint_eq(le16toh(f->used[2 + 4 * SIZE]), 7);
        ck_assert(!vring_split.pending(vr));
        f->avail[1] = htole16(8); /* came in between */
        ck_assert(vring_split.ask_kicks(vr));
        ck_assert(vring_split.pending(vr));
        vring_split.refuse_kicks(vr);
        ck_assert_uint_eq(le16toh(f->used[0]), 0);
        free(f);
}
END_TEST

START_TEST(fetches_within_bounds)
{
        struct fixture *f = fixture_new(true);
        struct vring *vr = &f->vr;
        struct chain_fault fault;
        uint16_t head;

        vr->next_avail = vr->seen_avail = 65535;
        f->avail[1] = htole16(65535);
        ck_assert_int_eq(vring_split.next(vr, &head, &fault), -EAGAIN);
        f->avail[1] = htole16(1);
        f->avail[2 + 65535 % SIZE] = htole16(3);
        ck_assert_int_eq(vring_split.next(vr, &head, &fault), 0);
        ck_assert_uint_eq(head, 3);
        vr->next_avail++;
        f->avail[2] = htole16(SIZE);
        ck_assert_int_eq(vring_split.next(vr, &head, &fault), -EPROTO);
        ck_assert_uint_eq(fault.value, SIZE);
        vr->seen_avail = vr->next_avail;
        f->avail[1] = htole16((uint16_t) (vr->next_avail + SIZE + 1));
        ck_assert_int_eq(vring_split.next(vr, &head, &fault), -EPROTO);
        free(f);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: split rings");
        TCase *tcase = tcase_create("vring_split");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(tcase, without_event_idx_the_flag_rules);
        tcase_add_test(tcase, with_event_idx_the_index_rules);
        tcase_add_test(tcase, asks_for_kicks_and_looks_again);
        tcase_add_test(tcase, fetches_within_bounds);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
