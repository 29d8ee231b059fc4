/*
 * A hostile guest against the real vhost-worker: each malformed ring breaks itself, and nothing beside it.
 */
#include "rig.h"

#include "array.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DISK = 1 << 20, NEXT = VRING_DESC_F_NEXT, WRITE = VRING_DESC_F_WRITE, INDIRECT = VRING_DESC_F_INDIRECT };

#define HERE (RIG_GPA + RIG_DATA)
#define TABLE (RIG_GPA + RIG_DATA + 8192)
#define END (RIG_GPA + RIG_MEMORY)

/* A chain from descriptor 0, and what an indirect table at TABLE holds. */
struct attack {
        const char *name;
        struct vring_desc desc[4];
        struct vring_desc table[4];
};

static const struct attack attacks[] = {
        { .name = "loop of one", .desc = { { HERE, 16, NEXT, 0 } } },
        { .name = "loop of two", .desc = { { HERE, 16, NEXT, 1 }, { HERE, 16, NEXT, 0 } } },
        { .name = "next beyond the vring", .desc = { { HERE, 16, NEXT, RIG_RING } } },
        { .name = "next far beyond", .desc = { { HERE, 16, NEXT, 0xffff } } },
        { .name = "nowhere", .desc = { { 0, 16, NEXT, 1 }, { HERE, 1, WRITE, 0 } } },
        { .name = "last byte outside", .desc = { { HERE, 16, NEXT, 1 }, { END - 511, 512, WRITE, 0 } } },
        { .name = "address wraps", .desc = { { HERE, 16, NEXT, 1 }, { UINT64_MAX - 15, 32, WRITE, 0 } } },
        { .name = "4 GiB buffer", .desc = { { HERE, 16, NEXT, 1 }, { HERE, UINT32_MAX, WRITE, 0 } } },
        { .name = "sum over 4 GiB",
          .desc = { { HERE, 16, NEXT, 1 }, { HERE, 1u << 31, NEXT | WRITE, 2 }, { HERE, 1u << 31, WRITE, 0 } } },
        { .name = "readable after writable", .desc = { { HERE, 16, NEXT | WRITE, 1 }, { HERE, 16, 0, 0 } } },
        { .name = "empty table", .desc = { { TABLE, 0, INDIRECT, 0 } } },
        { .name = "odd table", .desc = { { TABLE, 17, INDIRECT, 0 } }, .table = { { HERE, 16, 0, 0 } } },
        { .name = "huge table", .desc = { { TABLE, 16 * 1025, INDIRECT, 0 } }, .table = { { HERE, 16, 0, 0 } } },
        { .name = "4 GiB table", .desc = { { TABLE, 0xfffffff0, INDIRECT, 0 } }, .table = { { HERE, 16, 0, 0 } } },
        { .name = "table outside", .desc = { { END - 16, 32, INDIRECT, 0 } } },
        { .name = "table wraps", .desc = { { UINT64_MAX - 15, 32, INDIRECT, 0 } } },
        { .name = "table with next",
          .desc = { { TABLE, 16, INDIRECT | NEXT, 1 }, { HERE, 1, WRITE, 0 } }, .table = { { HERE, 16, 0, 0 } } },
        { .name = "nested table", .desc = { { TABLE, 32, INDIRECT, 0 } }, .table = { { TABLE, 16, INDIRECT, 0 } } },
        { .name = "next beyond the table", .desc = { { TABLE, 16, INDIRECT, 0 } }, .table = { { HERE, 16, NEXT, 1 } } },
        { .name = "loop in the table", .desc = { { TABLE, 32, INDIRECT, 0 } }, .table = { { HERE, 0, NEXT, 0 } } },
};

static void up(struct rig *rig, int *ret_disk)
{
        struct ipc_device device = rig_device(IPC_ENGINE_AUTO, DISK);

        *ret_disk = rig_disk(DISK, 0);
        rig_init(rig, &device, *ret_disk);
        rig_configure(rig, RIG_ACKED);
        for (unsigned i = 0; i < RIG_QUEUES; i++)
                ck_assert_int_eq(rig_ring_start(rig, i, false), 0);
}

static void check_others(struct rig *rig)
{
        uint8_t bytes[512];

        for (unsigned i = 1; i < RIG_QUEUES; i++)
                ck_assert_uint_eq(rig_blk(rig, i, VIRTIO_BLK_T_IN, 0, bytes, sizeof(bytes)), VIRTIO_BLK_S_OK);
}

/* Ring 0 broke: its err fd has fired, the rest goes on, and a stop and a start cure it. */
static void check_broken(struct rig *rig, const char *name)
{
        struct rig_ring *ring = &rig->ring[0];
        uint8_t bytes[512];
        uint64_t count;

        rig_until_broken(rig, 0);
        ck_assert_msg(read(ring->err, &count, sizeof(count)) == sizeof(count), "%s: err did not fire", name);
        check_others(rig);
        rig_ring_stop(rig, 0);
        memset(ring->desc, 0, RIG_RING * sizeof(ring->desc[0]));
        ring->next_avail = ring->last_used = le16toh(ring->used->idx);
        ring->avail->idx = htole16(ring->next_avail);
        ck_assert_int_eq(rig_ring_start(rig, 0, false), 0);
        ck_assert_uint_eq(rig_blk(rig, 0, VIRTIO_BLK_T_IN, 0, bytes, sizeof(bytes)), VIRTIO_BLK_S_OK);
}

START_TEST(malformed_chains_break_their_vring)
{
        struct rig rig;
        int disk;

        up(&rig, &disk);
        for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
                memcpy(rig.ring[0].desc, attacks[i].desc, sizeof(attacks[i].desc));
                memcpy(rig_at(&rig, TABLE), attacks[i].table, sizeof(attacks[i].table));
                rig_offer(&rig.ring[0], 0);
                rig_kick(&rig.ring[0]);
                check_broken(&rig, attacks[i].name);
        }
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(a_jump_of_the_avail_index_breaks_it)
{
        struct rig rig;
        int disk;

        up(&rig, &disk);
        rig.ring[0].avail->idx = htole16(RIG_RING + 1);
        rig_kick(&rig.ring[0]);
        check_broken(&rig, "avail index");
        rig.ring[0].avail->idx = htole16(rig.ring[0].next_avail - 1);
        rig_kick(&rig.ring[0]);
        check_broken(&rig, "avail index backwards");
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(a_head_beyond_the_vring_breaks_it)
{
        struct rig rig;
        int disk;

        up(&rig, &disk);
        rig_offer(&rig.ring[0], RIG_RING);
        rig_kick(&rig.ring[0]);
        check_broken(&rig, "head");
        rig_offer(&rig.ring[0], 0xffff);
        rig_kick(&rig.ring[0]);
        check_broken(&rig, "head 0xffff");
        rig_done(&rig);
        close(disk);
}
END_TEST

/* The same head twice in one batch: the second comes while the first is in flight. */
START_TEST(a_head_offered_twice_breaks_it)
{
        const struct rig_part parts[] = { { HERE, 16, false }, { HERE + 64, 1, true } };
        struct virtio_blk_header header = { .type = htole32(VIRTIO_BLK_T_FLUSH) };
        struct rig_ring *ring;
        struct rig rig;
        int disk;

        up(&rig, &disk);
        ring = &rig.ring[0];
        memcpy(rig_at(&rig, HERE), &header, sizeof(header));
        rig_write_chain(ring, 0, parts, 2);
        ring->avail->ring[0] = ring->avail->ring[1] = 0;
        ring->next_avail = 2;
        __atomic_store_n(&ring->avail->idx, htole16(2), __ATOMIC_SEQ_CST);
        rig_kick(ring);
        check_broken(&rig, "head twice");
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(an_empty_buffer_may_be_anywhere)
{
        const struct rig_part parts[] = { { HERE, 16, false }, { 0xdead0000, 0, false }, { 0, 0, true },
                                          { HERE + 64, 1, true } };
        struct virtio_blk_header header = { .type = htole32(VIRTIO_BLK_T_FLUSH) };
        struct rig rig;
        int disk;

        up(&rig, &disk);
        memcpy(rig_at(&rig, HERE), &header, sizeof(header));
        rig_write_chain(&rig.ring[0], 0, parts, 4);
        rig_offer(&rig.ring[0], 0);
        rig_kick(&rig.ring[0]);
        rig_wait_used(&rig.ring[0], 1);
        ck_assert_uint_eq(*(uint8_t *) rig_at(&rig, HERE + 64), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* Without INDIRECT_DESC in the acked features a table is malformed. */
START_TEST(an_indirect_table_must_be_negotiated)
{
        struct ipc_device device = rig_device(IPC_ENGINE_AUTO, DISK);
        const struct rig_part parts[] = { { HERE, 16, false }, { HERE + 64, 1, true } };
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        rig_init(&rig, &device, disk);
        rig_configure(&rig, RIG_ACKED & ~VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC));
        for (unsigned i = 0; i < RIG_QUEUES; i++)
                ck_assert_int_eq(rig_ring_start(&rig, i, false), 0);
        rig_write_indirect(&rig, &rig.ring[0], 0, TABLE, parts, 2);
        rig_offer(&rig.ring[0], 0);
        rig_kick(&rig.ring[0]);
        check_broken(&rig, "indirect");
        rig_done(&rig);
        close(disk);
}
END_TEST

/* Random descriptors, tables and indices: whatever happens, other vrings are served and the worker lives. */
START_TEST(garbage_harms_nobody_else)
{
        struct ipc_device device = rig_device(IPC_ENGINE_AUTO, DISK);
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        srand((unsigned) _i + 1);
        device.threads = 2;
        rig_init(&rig, &device, disk);
        rig_configure(&rig, RIG_ACKED);
        for (unsigned i = 0; i < RIG_QUEUES; i++)
                ck_assert_int_eq(rig_ring_start(&rig, i, false), 0);
        for (unsigned round = 0; round < 200; round++) {
                struct rig_ring *ring = &rig.ring[0];

                for (unsigned i = 0; i < RIG_RING; i++)
                        ring->desc[i] = (struct vring_desc){ HERE + (uint64_t) (rand() % 65536),
                                                             (uint32_t) rand() % 8192, (uint16_t) (rand() % 8),
                                                             (uint16_t) (rand() % (RIG_RING + 2)) };
                for (unsigned i = 0; i < 65536 / sizeof(int); i++)
                        ((int *) rig_at(&rig, HERE))[i] = rand() % 4 ? rand() % 32 : rand();
                for (unsigned i = 0; i < 16; i++)
                        rig_offer(ring, (uint16_t) (rand() % RIG_RING));
                rig_kick(ring);
                check_others(&rig);
                rig_ring_stop(&rig, 0);
                ring->next_avail = ring->last_used = le16toh(ring->used->idx);
                ring->avail->idx = htole16(ring->next_avail);
                ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        }
        rig_done(&rig);
        close(disk);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: hostile guests");
        TCase *tcase = tcase_create("hostile");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, malformed_chains_break_their_vring);
        tcase_add_test(tcase, a_jump_of_the_avail_index_breaks_it);
        tcase_add_test(tcase, a_head_beyond_the_vring_breaks_it);
        tcase_add_test(tcase, a_head_offered_twice_breaks_it);
        tcase_add_test(tcase, an_empty_buffer_may_be_anywhere);
        tcase_add_test(tcase, an_indirect_table_must_be_negotiated);
        tcase_add_loop_test(tcase, garbage_harms_nobody_else, 0, 4);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
