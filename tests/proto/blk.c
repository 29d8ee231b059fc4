/*
 * Block requests: what each type does and refuses, with every engine (virtio 1.3, 5.2.6; protocol facts, 8.4).
 */
#include "rig.h"

#include "array.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const engines[] = { "uring", "sync" };

enum { SECTORS = RIG_DISK_BYTES / 512, BIG = 64 << 10 };

static void open_blk(const struct rig *rig, struct fe_device *device, struct drv_blk *blk)
{
        *device = rig_device(rig, (struct fe_options){ .queues = 1 });
        *blk = rig_blk(device, 0);
}

static void close_blk(struct fe_device *device, struct drv_blk *blk)
{
        drv_blk_done(blk);
        OK(fe_device_stop(device));
}

START_TEST(reads)
{
        static const unsigned sizes[] = { 512, 1024, 4096, 4608, BIG };
        RIG_WITH(rig, .engine = engines[_i]);
        uint8_t *got = malloc(BIG), *want = malloc(BIG);
        struct fe_device device;
        struct drv_blk blk;

        open_blk(&rig, &device, &blk);
        for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
                for (uint64_t sector = 0; sector < SECTORS - 128; sector += 4001) {
                        OK(drv_blk_read(&blk, sector, got, sizes[i]));
                        rig_pattern(sector * 512, want, sizes[i]);
                        ck_assert_mem_eq(got, want, sizes[i]);
                }
        OK(drv_blk_read(&blk, SECTORS - 1, got, 512));
        close_blk(&device, &blk);
        free(got);
        free(want);
}
END_TEST

START_TEST(writes)
{
        static const unsigned sizes[] = { 512, 1536, 4096, BIG };
        RIG_WITH(rig, .engine = engines[_i]);
        uint8_t *data = malloc(BIG), *disk = malloc(BIG);
        struct fe_device device;
        struct drv_blk blk;

        open_blk(&rig, &device, &blk);
        for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
                uint64_t sector = 1000 * i + 3;

                memset(data, 0xa0 + (int) i, sizes[i]);
                OK(drv_blk_write(&blk, sector, data, sizes[i]));
                OK(drv_blk_flush(&blk));
                rig_read_disk(&rig, sector * 512, disk, sizes[i]);
                ck_assert_mem_eq(disk, data, sizes[i]);
                OK(drv_blk_read(&blk, sector, disk, sizes[i]));
                ck_assert_mem_eq(disk, data, sizes[i]);
        }
        rig_read_disk(&rig, 2 * 512, disk, 512); /* the sector before the first */
        rig_pattern(2 * 512, data, 512);
        ck_assert_mem_eq(disk, data, 512);
        close_blk(&device, &blk);
        free(data);
        free(disk);
}
END_TEST

static int status_of(struct drv_blk *blk, uint32_t type, uint64_t sector, uint32_t bytes)
{
        struct drv_blk_req *req;
        int status = drv_blk_run(blk, type, sector, bytes, FE_TIMEOUT_MS, &req);

        ck_assert_uint_ge(req->len, 1);
        return status;
}

START_TEST(limits)
{
        static const struct {
                uint64_t sector;
                uint32_t bytes;
        } bad[] = {
                { SECTORS, 512 },     { SECTORS - 1, 1024 },     { SECTORS + 1, 512 },        { UINT64_MAX, 512 },
                { UINT64_MAX / 512, 512 }, { UINT64_MAX / 512 + 1, 512 }, { UINT64_MAX - 7, 4096 },
                { 1ull << 55, 512 },  { 0, 1 },                  { 0, 511 },                  { 0, 513 },
                { 0, 4095 },
        };
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_device device;
        struct drv_blk blk;

        open_blk(&rig, &device, &blk);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                ck_assert_int_eq(status_of(&blk, VIRTIO_BLK_T_IN, bad[i].sector, bad[i].bytes), VIRTIO_BLK_S_IOERR);
                ck_assert_int_eq(status_of(&blk, VIRTIO_BLK_T_OUT, bad[i].sector, bad[i].bytes), VIRTIO_BLK_S_IOERR);
        }
        rig_read_one(&rig, &blk);
        close_blk(&device, &blk);
}
END_TEST

START_TEST(other_types)
{
        static const uint32_t unknown[] = { 2, 3, 6, 7, 9, 10, 12, 14, 15, 16, 26, 99, 1u << 31, UINT32_MAX };
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_device device;
        struct drv_blk blk;

        open_blk(&rig, &device, &blk);
        for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
                ck_assert_int_eq(status_of(&blk, unknown[i], 0, 0), VIRTIO_BLK_S_UNSUPP);
                ck_assert_int_eq(status_of(&blk, unknown[i], 0, 512), VIRTIO_BLK_S_UNSUPP);
        }
        ck_assert_int_eq(status_of(&blk, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
        ck_assert_int_eq(status_of(&blk, VIRTIO_BLK_T_FLUSH_OUT, 0, 0), VIRTIO_BLK_S_OK);
        rig_read_one(&rig, &blk);
        close_blk(&device, &blk);
}
END_TEST

START_TEST(identity)
{
        static const char *const serials[] = { "block.serial=12345678901234567890", "block.serial=short" };
        RIG_WITH(rig, .set = { serials[_i] });
        char id[VIRTIO_BLK_ID_BYTES + 1];
        struct fe_device device;
        struct drv_blk blk;

        open_blk(&rig, &device, &blk);
        OK(drv_blk_get_id(&blk, id));
        ck_assert_str_eq(id, strchr(serials[_i], '=') + 1);
        close_blk(&device, &blk);
}
END_TEST

static struct virtio_blk_range range(uint64_t sector, uint32_t sectors, uint32_t flags)
{
        return (struct virtio_blk_range){ htole64(sector), htole32(sectors), htole32(flags) };
}

static bool all_zero(const struct rig *rig, uint64_t sector, unsigned sectors)
{
        uint8_t *data = malloc(sectors * 512);
        bool zero = true;

        rig_read_disk(rig, sector * 512, data, sectors * 512);
        for (unsigned i = 0; i < sectors * 512; i++)
                zero = zero && !data[i];
        free(data);
        return zero;
}

static void unchanged(const struct rig *rig, uint64_t sector)
{
        uint8_t disk[512], want[512];

        rig_read_disk(rig, sector * 512, disk, 512);
        rig_pattern(sector * 512, want, 512);
        ck_assert_mem_eq(disk, want, 512);
}

START_TEST(zeroes)
{
        const struct virtio_blk_range two[] = { range(16, 8, 0), range(4096, 100, VIRTIO_BLK_ZEROES_F_UNMAP) };
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_device device;
        struct drv_blk blk;

        open_blk(&rig, &device, &blk);
        OK(drv_blk_ranges(&blk, VIRTIO_BLK_T_WRITE_ZEROES, two, 1));
        ck_assert(all_zero(&rig, 16, 8));
        OK(drv_blk_ranges(&blk, VIRTIO_BLK_T_WRITE_ZEROES, &two[1], 1));
        ck_assert(all_zero(&rig, 4096, 100));
        unchanged(&rig, 15);
        unchanged(&rig, 24);
        unchanged(&rig, 4095);
        unchanged(&rig, 4196);
        close_blk(&device, &blk);
}
END_TEST

START_TEST(discards)
{
        const struct virtio_blk_range one = range(2048, 8192, 0);
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_device device;
        struct drv_blk blk;
        struct stat before, after;

        open_blk(&rig, &device, &blk);
        ck_assert_int_eq(stat(rig.disk, &before), 0);
        OK(drv_blk_ranges(&blk, VIRTIO_BLK_T_DISCARD, &one, 1));
        ck_assert_int_eq(stat(rig.disk, &after), 0);
        ck_assert_int_lt(after.st_blocks, before.st_blocks);
        ck_assert_int_eq(after.st_size, before.st_size);
        unchanged(&rig, 2047);
        unchanged(&rig, 2048 + 8192);
        close_blk(&device, &blk);
}
END_TEST

START_TEST(bad_ranges)
{
        const struct {
                uint32_t type;
                struct virtio_blk_range range;
                int status;
        } bad[] = {
                { VIRTIO_BLK_T_DISCARD, range(SECTORS, 1, 0), VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_DISCARD, range(SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_DISCARD, range(UINT64_MAX, 1, 0), VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_DISCARD, range(UINT64_MAX / 512 + 1, 1, 0), VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_DISCARD, range(0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_DISCARD, range(0, 8, VIRTIO_BLK_ZEROES_F_UNMAP), VIRTIO_BLK_S_UNSUPP },
                { VIRTIO_BLK_T_DISCARD, range(0, 8, 2), VIRTIO_BLK_S_UNSUPP },
                { VIRTIO_BLK_T_WRITE_ZEROES, range(0, 8, 1u << 31), VIRTIO_BLK_S_UNSUPP },
                { VIRTIO_BLK_T_WRITE_ZEROES, range(SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_WRITE_ZEROES, range(UINT64_MAX - 1, 4, 0), VIRTIO_BLK_S_IOERR },
        };
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_device device;
        struct drv_blk blk;

        open_blk(&rig, &device, &blk);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(drv_blk_ranges(&blk, bad[i].type, &bad[i].range, 1) == bad[i].status, "range %u", i);
        ck_assert_int_ne(status_of(&blk, VIRTIO_BLK_T_DISCARD, 0, 15), VIRTIO_BLK_S_OK); /* half a segment */
        ck_assert_int_ne(status_of(&blk, VIRTIO_BLK_T_DISCARD, 0, 0), VIRTIO_BLK_S_OK);
        ck_assert_int_ne(status_of(&blk, VIRTIO_BLK_T_WRITE_ZEROES, 0, BIG), VIRTIO_BLK_S_OK); /* 4096 segments */
        unchanged(&rig, 0);
        unchanged(&rig, SECTORS - 1);
        close_blk(&device, &blk);
}
END_TEST

START_TEST(read_only)
{
        const struct virtio_blk_range one = range(0, 8, 0);
        RIG_WITH(rig, .engine = engines[_i], .read_only = true);
        struct fe_device device;
        struct drv_blk blk;
        uint8_t data[512] = { 1 };

        open_blk(&rig, &device, &blk);
        ck_assert(device.offered & VIRTIO_BIT(VIRTIO_BLK_F_RO));
        ck_assert(!(device.offered & (VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) | VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES))));
        rig_read_one(&rig, &blk);
        ck_assert_int_eq(drv_blk_write(&blk, 0, data, 512), VIRTIO_BLK_S_IOERR);
        ck_assert_int_ne(drv_blk_ranges(&blk, VIRTIO_BLK_T_DISCARD, &one, 1), VIRTIO_BLK_S_OK);
        ck_assert_int_ne(drv_blk_ranges(&blk, VIRTIO_BLK_T_WRITE_ZEROES, &one, 1), VIRTIO_BLK_S_OK);
        unchanged(&rig, 0);
        close_blk(&device, &blk);
}
END_TEST

/* A driver that does not acknowledge RO is bound by it none the less. */
START_TEST(read_only_not_acked)
{
        RIG_WITH(rig, .engine = engines[_i], .read_only = true);
        struct fe_options options = { .features = ~VIRTIO_BIT(VIRTIO_BLK_F_RO) & 0x1ffffffffull & ~(1ull << 26) &
                                                  ~(1ull << 24) & ~(1ull << 27) };
        struct fe_device device = rig_device(&rig, options);
        struct drv_blk blk = rig_blk(&device, 0);
        uint8_t data[512] = { 1 };

        ck_assert_int_eq(drv_blk_write(&blk, 0, data, 512), VIRTIO_BLK_S_IOERR);
        unchanged(&rig, 0);
        close_blk(&device, &blk);
}
END_TEST

START_TEST(many_in_flight)
{
        enum { DEPTH = 40, ROUNDS = 50 };
        RIG_WITH(rig, .engine = engines[_i], .queues = 4);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 4 });
        struct drv_blk blk[4];
        struct drv_blk_req *req;
        uint8_t want[4096];

        for (unsigned q = 0; q < 4; q++) {
                OK(drv_blk_init(&blk[q], device.vring[q], 0, DEPTH, sizeof(want)));
                blk[q].how = q & 1 ? DRV_INDIRECT : DRV_DIRECT;
        }
        for (unsigned round = 0; round < ROUNDS; round++) {
                for (unsigned i = 0; i < 4 * DEPTH; i++)
                        OK(drv_blk_submit(&blk[i % 4], drv_blk_slot(&blk[i % 4]), VIRTIO_BLK_T_IN,
                                          (round * 977 + i * 131) % (SECTORS - 8), sizeof(want)));
                for (unsigned q = 0; q < 4; q++)
                        drv_kick(device.vring[q]);
                for (unsigned i = 0; i < 4 * DEPTH; i++) {
                        OK(drv_wait(device.vring[i % 4], fe_deadline(FE_TIMEOUT_MS)));
                        ck_assert_int_eq(drv_blk_reap(&blk[i % 4], &req), 1);
                        ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
                        rig_pattern(req->sector * 512, want, sizeof(want));
                        ck_assert_mem_eq(req->data.at, want, sizeof(want));
                }
        }
        for (unsigned q = 0; q < 4; q++)
                drv_blk_done(&blk[q]);
        OK(fe_device_stop(&device));
}
END_TEST

/* IN_ORDER: what is quick waits for what is slow before it, and every request still completes. */
START_TEST(in_order)
{
        enum { DEPTH = 40, ROUNDS = 30 };
        RIG_WITH(rig, .engine = engines[_i % 2]);
        struct fe_options options = { .queues = 1, .queue_size = 256, .in_order = true };
        struct fe_device device = rig_device(&rig, options);
        struct drv_blk_req *sent[DEPTH], *req;
        struct drv_blk blk;

        ck_assert(device.features & VIRTIO_BIT(VIRTIO_F_IN_ORDER));
        OK(drv_blk_init(&blk, device.vring[0], 0, DEPTH, BIG));
        blk.how = DRV_INDIRECT;
        for (unsigned round = 0; round < ROUNDS; round++) {
                for (unsigned i = 0; i < DEPTH; i++) {
                        unsigned kind = (round + i) % 5;

                        sent[i] = drv_blk_slot(&blk);
                        OK(drv_blk_submit(&blk, sent[i], kind == 0 ? VIRTIO_BLK_T_FLUSH : kind == 1 ? VIRTIO_BLK_T_GET_ID
                                                         : kind < 4 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
                                          kind < 2 ? 0 : i * 128, kind == 0 ? 0 : kind == 1 ? 20 : kind == 2 ? 512 : BIG));
                        if (i % 8 == 7)
                                drv_kick(device.vring[0]);
                }
                for (unsigned i = 0; i < DEPTH; i++) {
                        OK(drv_wait(device.vring[0], fe_deadline(FE_TIMEOUT_MS)));
                        ck_assert_int_eq(drv_blk_reap(&blk, &req), 1);
                        ck_assert_ptr_eq(req, sent[i]);
                        ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
                }
        }
        close_blk(&device, &blk);
}
END_TEST

/* The null engine does no I/O but answers as a disk does. */
START_TEST(null_engine)
{
        RIG_WITH(rig, .engine = "null");
        struct fe_device device;
        struct drv_blk blk;

        open_blk(&rig, &device, &blk);
        ck_assert_int_eq(status_of(&blk, VIRTIO_BLK_T_IN, 0, 4096), VIRTIO_BLK_S_OK);
        ck_assert_int_eq(status_of(&blk, VIRTIO_BLK_T_OUT, 0, 4096), VIRTIO_BLK_S_OK);
        ck_assert_int_eq(status_of(&blk, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
        ck_assert_int_eq(status_of(&blk, VIRTIO_BLK_T_IN, SECTORS, 512), VIRTIO_BLK_S_IOERR);
        unchanged(&rig, 0);
        close_blk(&device, &blk);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("blk");
        TCase *c = tcase_create("blk");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, reads, 0, 2);
        tcase_add_loop_test(c, writes, 0, 2);
        tcase_add_loop_test(c, limits, 0, 2);
        tcase_add_loop_test(c, other_types, 0, 2);
        tcase_add_loop_test(c, identity, 0, 2);
        tcase_add_loop_test(c, zeroes, 0, 2);
        tcase_add_loop_test(c, discards, 0, 2);
        tcase_add_loop_test(c, bad_ranges, 0, 2);
        tcase_add_loop_test(c, read_only, 0, 2);
        tcase_add_loop_test(c, read_only_not_acked, 0, 2);
        tcase_add_loop_test(c, many_in_flight, 0, 2);
        tcase_add_loop_test(c, in_order, 0, 2);
        tcase_add_test(c, null_engine);
        suite_add_tcase(s, c);
        return rig_main(s);
}
