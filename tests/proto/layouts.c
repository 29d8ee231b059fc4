/*
 * Requests in every layout of descriptors: a device must not care where one ends and the next begins
 * (virtio 1.3, 2.7.4 and 5.2.6; protocol facts, 8.4).
 */
#include "rig.h"

#include "array.h"

#include <string.h>

static const char *const engines[] = { "uring", "sync" };

/* A request laid out byte by byte in guest memory: header, data, status in one stretch of each direction. */
struct desk {
        struct rig *rig;
        struct fe_device device;
        struct fe_buf out; /* header, then data to write */
        struct fe_buf in;  /* data read, then status */
};

static struct desk desk_open(struct rig *rig, struct fe_options options)
{
        struct desk d = { .rig = rig, .device = rig_device(rig, options) };

        OK(fe_mem_alloc(d.device.mem, 0, 64 << 10, 4096, &d.out));
        OK(fe_mem_alloc(d.device.mem, 0, 64 << 10, 4096, &d.in));
        return d;
}

static void desk_close(struct desk *d)
{
        OK(fe_device_stop(&d->device));
}

/* Cuts n bytes of one direction into descriptors of `piece` bytes, appended to segs. */
static unsigned cut(struct drv_seg *segs, unsigned have, uint64_t gpa, uint32_t n, uint32_t piece, bool write)
{
        for (uint32_t at = 0; at < n; at += piece)
                segs[have++] = (struct drv_seg){ gpa + at, n - at < piece ? n - at : piece, write };
        return have;
}

static void put_header(struct desk *d, uint32_t type, uint64_t sector)
{
        struct virtio_blk_header h = { htole32(type), 0, htole64(sector) };

        memcpy(d->out.at, &h, sizeof(h));
}

static void read_in_pieces(struct desk *d, uint32_t bytes, uint32_t out_piece, uint32_t in_piece, enum drv_how how)
{
        struct drv_seg segs[DRV_SEGS_MAX];
        uint64_t sector = 7 + bytes / 512 + out_piece * 3 + in_piece;
        uint8_t want[8192];
        uint32_t len;
        unsigned n;

        put_header(d, VIRTIO_BLK_T_IN, sector);
        memset(d->in.at, 0xee, bytes + 2);
        n = cut(segs, 0, d->out.gpa, sizeof(struct virtio_blk_header), out_piece, false);
        n = cut(segs, n, d->in.gpa, bytes + 1, in_piece, true);
        OK(drv_raw(d->device.vring[0], segs, n, how, FE_TIMEOUT_MS, &len));
        rig_pattern(sector * 512, want, bytes);
        ck_assert_uint_eq(d->in.at[bytes], VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(len, bytes + 1);
        ck_assert_mem_eq(d->in.at, want, bytes);
        ck_assert_uint_eq(d->in.at[bytes + 1], 0xee);
}

static void write_in_pieces(struct desk *d, uint32_t bytes, uint32_t piece, enum drv_how how)
{
        struct drv_seg segs[DRV_SEGS_MAX];
        uint64_t sector = 900 + piece;
        uint8_t disk[8192];
        uint32_t len;
        unsigned n;

        put_header(d, VIRTIO_BLK_T_OUT, sector);
        for (uint32_t i = 0; i < bytes; i++)
                d->out.at[sizeof(struct virtio_blk_header) + i] = (uint8_t) (i * 13 + piece);
        *d->in.at = 0xee;
        n = cut(segs, 0, d->out.gpa, sizeof(struct virtio_blk_header) + bytes, piece, false);
        n = cut(segs, n, d->in.gpa, 1, 1, true);
        OK(drv_raw(d->device.vring[0], segs, n, how, FE_TIMEOUT_MS, &len));
        ck_assert_uint_eq(len, 1);
        ck_assert_uint_eq(*d->in.at, VIRTIO_BLK_S_OK);
        rig_read_disk(d->rig, sector * 512, disk, bytes);
        ck_assert_mem_eq(disk, d->out.at + sizeof(struct virtio_blk_header), bytes);
}

static const enum drv_how hows[] = { DRV_DIRECT, DRV_INDIRECT, DRV_TAIL_INDIRECT };

START_TEST(any_cut)
{
        static const uint32_t pieces[] = { 100, 512, 513, 4096, 9000 };
        RIG_WITH(rig, .engine = engines[_i / 3]);
        struct desk d = desk_open(&rig, (struct fe_options){ .queue_size = 256 });
        enum drv_how how = hows[_i % 3];

        for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
                read_in_pieces(&d, 4096, 16, pieces[i], how);
                read_in_pieces(&d, 8192, 1 + 5 * i, pieces[i], how);
                write_in_pieces(&d, 4096, pieces[i], how);
                write_in_pieces(&d, 8192, pieces[i], how);
        }
        read_in_pieces(&d, 512, 1, 8192, how); /* the header byte by byte, the status with the data */
        read_in_pieces(&d, 512, 15, 3, how);
        write_in_pieces(&d, 512, 3, how);
        desk_close(&d);
}
END_TEST

/* 64 + 1 descriptors of a few bytes each way, in a ring that just holds them. */
START_TEST(one_byte_descriptors)
{
        struct drv_seg segs[DRV_SEGS_MAX];
        RIG_WITH(rig, .engine = engines[_i]);
        struct desk d = desk_open(&rig, (struct fe_options){ .queue_size = 256 });
        uint32_t len;
        unsigned n;

        put_header(&d, VIRTIO_BLK_T_GET_ID, 0);
        n = cut(segs, 0, d.out.gpa, 16, 1, false);
        n = cut(segs, n, d.in.gpa, 21, 1, true);
        d.in.at[20] = 0xee;
        OK(drv_raw(d.device.vring[0], segs, n, DRV_DIRECT, FE_TIMEOUT_MS, &len));
        ck_assert_uint_eq(len, 21);
        ck_assert_uint_eq(d.in.at[20], VIRTIO_BLK_S_OK);
        desk_close(&d);
}
END_TEST

START_TEST(zero_length_descriptors)
{
        RIG_WITH(rig, .engine = engines[_i]);
        struct desk d = desk_open(&rig, (struct fe_options){ .queues = 1 });
        const struct drv_seg segs[] = {
                {d.out.gpa,       0,   false},
                { d.out.gpa,      8,   false},
                { d.out.gpa,      0,   false},
                { d.out.gpa + 8,  8,   false},
                { d.in.gpa,       0,   true },
                { d.in.gpa,       512, true },
                { d.in.gpa,       0,   true },
                { d.in.gpa + 512, 1,   true },
                { d.in.gpa,       0,   true },
        };
        uint8_t want[512];
        uint32_t len;

        put_header(&d, VIRTIO_BLK_T_IN, 5);
        d.in.at[512] = 0xee;
        OK(drv_raw(d.device.vring[0], segs, ARRAY_SIZE(segs), DRV_DIRECT, FE_TIMEOUT_MS, &len));
        rig_pattern(5 * 512, want, sizeof(want));
        ck_assert_mem_eq(d.in.at, want, sizeof(want));
        ck_assert_uint_eq(d.in.at[512], VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(len, 513);
        desk_close(&d);
}
END_TEST

/* Two regions that are neighbours for the guest but not in the back-end's address space. */
START_TEST(over_two_regions)
{
        RIG_WITH(rig, .engine = engines[_i]);
        struct desk d = desk_open(&rig, (struct fe_options){ .two_regions = true, .adjoining = true });
        uint64_t seam = d.device.mem->part[1].region.gpa;
        const struct drv_seg segs[] = {
                {d.out.gpa,   16,   false},
                { seam - 300, 1024, true },
                { d.in.gpa,   1,    true }
        };
        uint8_t want[1024];
        uint32_t len;

        put_header(&d, VIRTIO_BLK_T_IN, 9);
        *d.in.at = 0xee;
        OK(drv_raw(d.device.vring[0], segs, ARRAY_SIZE(segs), DRV_DIRECT, FE_TIMEOUT_MS, &len));
        rig_pattern(9 * 512, want, sizeof(want));
        ck_assert_uint_eq(*d.in.at, VIRTIO_BLK_S_OK);
        ck_assert_mem_eq(fe_mem_at(d.device.mem, seam - 300, 300), want, 300);
        ck_assert_mem_eq(fe_mem_at(d.device.mem, seam, 724), want + 300, 724);
        desk_close(&d);
}
END_TEST

/* The memory begins at odd bytes of its file, the rings obey their alignment and no more. */
START_TEST(odd_places)
{
        static const uint64_t offsets[] = { 0, 4096, 8192 + 512, 1 << 21, 65536 + 16 };
        RIG_WITH(rig, .engine = engines[_i % 2]);
        struct fe_options options = { .mem_offset = offsets[_i / 2], .skew = 1 + _i, .queue_size = 64 };
        struct desk d = desk_open(&rig, options);

        read_in_pieces(&d, 4096, 16, 512, DRV_DIRECT);
        read_in_pieces(&d, 4096, 3, 512, DRV_INDIRECT);
        write_in_pieces(&d, 4096, 1000, DRV_INDIRECT);
        desk_close(&d);
}
END_TEST

START_TEST(ring_sizes)
{
        static const uint32_t powers[] = { 1, 2, 4, 64, 256, 1024 }, others[] = { 1, 2, 3, 7, 100, 1023, 1024 };
        const uint32_t *sizes = rig_packed() ? others : powers;
        RIG_WITH(rig, .engine = engines[_i]);

        for (unsigned i = 0; i < (rig_packed() ? ARRAY_SIZE(others) : ARRAY_SIZE(powers)); i++) {
                struct desk d = desk_open(&rig, (struct fe_options){ .queue_size = sizes[i], .base = 65530 });

                for (unsigned k = 0; k < 40; k++)
                        read_in_pieces(&d, 512, 16, 512, DRV_INDIRECT);
                desk_close(&d);
        }
}
END_TEST

/* Chains of different lengths in many laps, over the end of rings of odd sizes too. */
START_TEST(many_laps)
{
        static const uint32_t sizes[] = { 16, 17, 31, 64 };
        RIG_WITH(rig, .engine = engines[_i % 2]);
        uint32_t size = rig_packed() ? sizes[_i / 2] : 16u << _i / 2;
        struct desk d = desk_open(&rig, (struct fe_options){ .queue_size = size });

        for (unsigned k = 0; k < 400; k++)
                read_in_pieces(&d, 512, 2 + k % 15, 100 + k % 413, k % 7 ? DRV_DIRECT : DRV_INDIRECT);
        desk_close(&d);
}
END_TEST

/* Without VIRTIO_RING_F_EVENT_IDX and INDIRECT_DESC. */
START_TEST(plain_ring)
{
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_options options = { .features = 0xffffff | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
                                                  VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) };
        struct desk d = desk_open(&rig, options);

        for (unsigned k = 0; k < 300; k++)
                read_in_pieces(&d, 1024, 8, 700, DRV_DIRECT);
        desk_close(&d);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("layouts");
        TCase *c = tcase_create("layouts");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, any_cut, 0, 6);
        tcase_add_loop_test(c, one_byte_descriptors, 0, 2);
        tcase_add_loop_test(c, zero_length_descriptors, 0, 2);
        tcase_add_loop_test(c, over_two_regions, 0, 2);
        tcase_add_loop_test(c, odd_places, 0, 10);
        tcase_add_loop_test(c, ring_sizes, 0, 2);
        tcase_add_loop_test(c, many_laps, 0, 8);
        tcase_add_loop_test(c, plain_ring, 0, 2);
        suite_add_tcase(s, c);
        return rig_main(s);
}
