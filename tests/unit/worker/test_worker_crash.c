/*
 * Workers that die and are replaced: what was in flight is done by the next one, once for the guest, oldest first.
 */
#include "rig.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DISK = 8 << 20, REQUESTS = 32 };

static const enum ipc_engine engines[] = { IPC_ENGINE_URING, IPC_ENGINE_SYNC, IPC_ENGINE_NULL };

static struct vu_inflight_split *area_map(const struct rig *rig, unsigned ring)
{
        char *area = rig->guest_area + ring * vu_inflight_bytes(RIG_RING, false);

        return (struct vu_inflight_split *) area;
}

static struct vu_inflight_split_desc *area_descs(const struct rig *rig, unsigned ring)
{
        return (struct vu_inflight_split_desc *) (area_map(rig, ring) + 1);
}

/* Request i writes its own 4 KiB with its own byte; descriptors 3i.. */
static void write_request(struct rig *rig, unsigned i, uint64_t sector, uint8_t byte)
{
        uint64_t at = RIG_GPA + RIG_DATA + i * 8192;
        struct virtio_blk_header header = { .type = htole32(VIRTIO_BLK_T_OUT), .sector = htole64(sector) };
        const struct rig_part parts[] = { { at, 16, false }, { at + 4096, 4096, false }, { at + 16, 1, true } };

        memcpy(rig_at(rig, at), &header, sizeof(header));
        memset(rig_at(rig, at + 4096), byte, 4096);
        *(uint8_t *) rig_at(rig, at + 16) = 0xff;
        rig_write_chain(&rig->ring[0], (uint16_t) (i * 3), parts, 3);
}

static uint8_t status_of(struct rig *rig, unsigned i)
{
        return *(uint8_t *) rig_at(rig, RIG_GPA + RIG_DATA + i * 8192 + 16);
}

/* What a predecessor left: `taken` requests fetched, none completed; ages in reverse order of the heads. */
static void leave_in_flight(struct rig *rig, unsigned n)
{
        struct vu_inflight_split_desc *desc = area_descs(rig, 0);

        for (unsigned i = 0; i < n; i++) {
                desc[i * 3].inflight = 1;
                desc[i * 3].counter = 1000 - i;
        }
}

/* All write the same place: the order is what can be read there afterwards. */
START_TEST(resubmits_in_the_order_of_age)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        rig_init(&rig, &device, disk);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        ck_assert_uint_eq(area_map(&rig, 0)->version, 1);
        ck_assert_uint_eq(area_map(&rig, 0)->desc_num, RIG_RING);
        rig_kill(&rig);
        for (unsigned i = 0; i < 8; i++) {
                write_request(&rig, i, i * 8, (uint8_t) (i + 1));
                rig_offer(&rig.ring[0], (uint16_t) (i * 3));
        }
        leave_in_flight(&rig, 5);
        rig_spawn(&rig);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, true), 0);
        rig_wait_used(&rig.ring[0], 8); /* five again, three new, without a kick */
        for (unsigned i = 0; i < 8; i++)
                ck_assert_uint_eq(status_of(&rig, i), VIRTIO_BLK_S_OK);
        for (unsigned i = 0; i < 5 && engines[_i] == IPC_ENGINE_NULL; i++)
                ck_assert_uint_eq(rig.ring[0].used->ring[i].id, (4 - i) * 3);
        ck_assert_int_eq(rig_ask(&rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0); /* what is used is also settled */
        for (unsigned i = 0; i < RIG_RING; i++)
                ck_assert_uint_eq(area_descs(&rig, 0)[i].inflight, 0);
        ck_assert_uint_eq(rig_ring_stop(&rig, 0), 8);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* What was taken counts as taken, even if the vring is disabled now: a stop finishes it. */
START_TEST(a_stop_finishes_what_was_taken)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        rig_init(&rig, &device, disk);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        rig_kill(&rig);
        for (unsigned i = 0; i < 8; i++) {
                write_request(&rig, i, i * 8, (uint8_t) (i + 1));
                rig_offer(&rig.ring[0], (uint16_t) (i * 3));
        }
        leave_in_flight(&rig, 5);
        rig_spawn(&rig);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start_off(&rig, 0, true), 0);
        ck_assert_uint_eq(rig_ring_stop(&rig, 0), 5);
        for (unsigned i = 0; i < 8; i++)
                ck_assert_uint_eq(status_of(&rig, i), i < 5 ? VIRTIO_BLK_S_OK : 0xff);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* Its predecessor may have died between a used entry and its call. */
START_TEST(calls_once_after_a_resume)
{
        struct ipc_device device = rig_device(IPC_ENGINE_NULL, DISK);
        struct rig rig;

        rig_init(&rig, &device, -1);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        rig_kill(&rig);
        rig_spawn(&rig);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, true), 0);
        rig_wait_call(&rig.ring[0]);
        rig_done(&rig);
}
END_TEST

/* The predecessor had published a batch and died before it could settle it in the area. */
START_TEST(does_not_repeat_what_was_published)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        int disk = rig_disk(DISK, 0);
        struct vu_inflight_split_desc *desc;
        struct rig rig;

        rig_init(&rig, &device, disk);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        rig_kill(&rig);
        for (unsigned i = 0; i < 5; i++) {
                write_request(&rig, i, i * 8, (uint8_t) (i + 1));
                rig_offer(&rig.ring[0], (uint16_t) (i * 3));
        }
        leave_in_flight(&rig, 5);
        desc = area_descs(&rig, 0);
        desc[3].next = 0; /* heads 3, then 9, were completed and published */
        desc[9].next = 3;
        area_map(&rig, 0)->last_batch_head = 9;
        rig.ring[0].used->ring[0].id = htole32(3);
        rig.ring[0].used->ring[1].id = htole32(9);
        rig.ring[0].used->idx = htole16(2);
        rig.ring[0].last_used = 2;
        rig_spawn(&rig);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, true), 0);
        rig_wait_used(&rig.ring[0], 3);
        ck_assert_uint_eq(status_of(&rig, 1), 0xff);
        ck_assert_uint_eq(status_of(&rig, 3), 0xff);
        ck_assert_uint_eq(status_of(&rig, 0), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_ring_stop(&rig, 0), 5);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* A front-end can write anything into the area. */
START_TEST(a_hostile_area_is_refused_or_harmless)
{
        struct ipc_device device = rig_device(IPC_ENGINE_NULL, DISK);
        struct vu_inflight_split *area;
        struct rig rig;

        rig_init(&rig, &device, -1);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        rig_ring_stop(&rig, 0);
        area = area_map(&rig, 0);
        area->desc_num = 64;
        ck_assert_int_eq(rig_ring_start(&rig, 0, true), -EPROTO);
        area->desc_num = RIG_RING;
        area->used_idx = 100;
        ck_assert_int_eq(rig_ring_start(&rig, 0, true), -EPROTO);
        area->used_idx = (uint16_t) -5;
        area->last_batch_head = 0xffff;
        ck_assert_int_eq(rig_ring_start(&rig, 0, true), -EPROTO);
        area->last_batch_head = 7;
        area_descs(&rig, 0)[7].next = RIG_RING;
        ck_assert_int_eq(rig_ring_start(&rig, 0, true), -EPROTO);
        area->used_idx = 0;
        memset(rig.ring[0].desc, 0xff, RIG_RING * sizeof(struct vring_desc));
        for (unsigned i = 0; i < RIG_RING; i++)
                area_descs(&rig, 0)[i] = (struct vu_inflight_split_desc){ .inflight = 1, .counter = UINT64_MAX };
        ck_assert_int_eq(rig_ring_start(&rig, 0, true), 0);
        rig_until_broken(&rig, 0);
        rig_done(&rig);
}
END_TEST

/* Keeps the ring full of writes and kills the worker at any moment; every request must complete exactly once. */
START_TEST(killed_at_any_moment)
{
        struct ipc_device device = rig_device(engines[_i % 2], DISK);
        struct timespec moment = { 0 };
        int disk = rig_disk(DISK, 0);
        uint8_t bytes[4096], wanted[4096];
        struct rig rig;

        srand((unsigned) _i + 1);
        rig_init(&rig, &device, disk);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        for (unsigned round = 0; round < 40; round++) {
                for (unsigned i = 0; i < REQUESTS; i++) {
                        write_request(&rig, i, (round % 4 * REQUESTS + i) * 8, (uint8_t) (round + i));
                        rig_offer(&rig.ring[0], (uint16_t) (i * 3));
                        rig_kick(&rig.ring[0]);
                }
                moment.tv_nsec = rand() % 300000;
                nanosleep(&moment, NULL); /* any moment will do: nothing below depends on it */
                rig_kill(&rig);
                rig_spawn(&rig);
                rig_configure(&rig, RIG_ACKED);
                ck_assert_int_eq(rig_ring_start(&rig, 0, true), 0);
                rig_wait_used(&rig.ring[0], REQUESTS);
                for (unsigned i = 0; i < REQUESTS; i++) {
                        ck_assert_uint_eq(status_of(&rig, i), VIRTIO_BLK_S_OK);
                        memset(wanted, (uint8_t) (round + i), sizeof(wanted));
                        ck_assert_int_eq(pread(disk, bytes, sizeof(bytes), (round % 4 * REQUESTS + i) * 4096), 4096);
                        ck_assert_mem_eq(bytes, wanted, sizeof(wanted));
                }
        }
        ck_assert_uint_eq(rig_ring_stop(&rig, 0), 40 * REQUESTS);
        rig_done(&rig);
        close(disk);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: crash and replay");
        TCase *tcase = tcase_create("crash");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tcase, 120);
        tcase_add_loop_test(tcase, resubmits_in_the_order_of_age, 0, 3);
        tcase_add_loop_test(tcase, does_not_repeat_what_was_published, 0, 3);
        tcase_add_loop_test(tcase, a_stop_finishes_what_was_taken, 0, 3);
        tcase_add_test(tcase, calls_once_after_a_resume);
        tcase_add_test(tcase, a_hostile_area_is_refused_or_harmless);
        tcase_add_loop_test(tcase, killed_at_any_moment, 0, 4);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
