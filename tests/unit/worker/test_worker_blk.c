/*
 * The block device of the real vhost-worker: data, errors, layouts, many queues.
 */
#include "rig.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DISK = 8 << 20 };

static const enum ipc_engine engines[] = { IPC_ENGINE_URING, IPC_ENGINE_SYNC };

static void fill(uint8_t *bytes, size_t n, unsigned seed)
{
        for (size_t i = 0; i < n; i++)
                bytes[i] = (uint8_t) (seed * 31 + i * 7 + i / 256);
}

static void up(struct rig *rig, const struct ipc_device *device, int disk)
{
        rig_init(rig, device, disk);
        rig_configure(rig, RIG_ACKED);
        for (unsigned i = 0; i < device->queues; i++)
                ck_assert_int_eq(rig_ring_start(rig, i, false), 0);
}

static void up_with(struct rig *rig, enum ipc_engine engine, int *ret_disk)
{
        struct ipc_device device = rig_device(engine, DISK);

        *ret_disk = rig_disk(DISK, 0);
        up(rig, &device, *ret_disk);
}

START_TEST(reads_what_was_written)
{
        uint8_t out[8192], in[8192];
        struct rig rig;
        int disk;

        up_with(&rig, engines[_i], &disk);
        for (unsigned i = 0; i < 64; i++) {
                fill(out, sizeof(out), i);
                ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, i * 16, out, sizeof(out)), VIRTIO_BLK_S_OK);
                ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 1);
                ck_assert_int_eq(pread(disk, in, sizeof(in), i * 8192), sizeof(in));
                ck_assert_mem_eq(in, out, sizeof(in));
        }
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_FLUSH_OUT, 0, NULL, 0), VIRTIO_BLK_S_OK);
        for (unsigned i = 0; i < 64; i++) {
                fill(out, sizeof(out), i);
                ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, i * 16, in, sizeof(in)), VIRTIO_BLK_S_OK);
                ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, sizeof(in) + 1);
                ck_assert_mem_eq(in, out, sizeof(in));
        }
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(tells_its_serial)
{
        uint8_t id[20] = { 0 };
        struct rig rig;
        int disk;

        up_with(&rig, engines[_i], &disk);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_GET_ID, 0, id, sizeof(id)), VIRTIO_BLK_S_OK);
        ck_assert_mem_eq(id, rig.device.block.serial, sizeof(id));
        ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 21);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(refuses_what_it_must)
{
        const uint64_t end = DISK / 512;
        uint8_t bytes[4096] = { 0 };
        struct rig rig;
        int disk;

        up_with(&rig, engines[_i], &disk);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, end - 8, bytes, 4096), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, end - 7, bytes, 4096), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 1);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, end, bytes, 512), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, UINT64_MAX, bytes, 512), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, UINT64_MAX / 512, bytes, 512), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, 0, bytes, 511), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, 0, bytes, 100), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, 77, 0, bytes, 512), VIRTIO_BLK_S_UNSUPP);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, 0, bytes, 512), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(a_read_only_disk_is_not_written)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        struct virtio_blk_range range = { 0, 8, 0 };
        int disk = rig_disk(DISK, 0);
        uint8_t bytes[512] = { 1 };
        struct rig rig;

        device.block.read_only = 1;
        up(&rig, &device, disk);
        ck_assert(rig.ready.features & VIRTIO_BIT(VIRTIO_BLK_F_RO));
        ck_assert(!(rig.ready.features & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD)));
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, 0, bytes, 512), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_DISCARD, 0, &range, 16), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, 16), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, 0, bytes, 512), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(bytes[0], 0);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(ranges_become_zeroes)
{
        static const struct {
                uint32_t type, flags;
        } ways[] = { { VIRTIO_BLK_T_DISCARD, 0 }, { VIRTIO_BLK_T_WRITE_ZEROES, 0 }, { VIRTIO_BLK_T_WRITE_ZEROES, 1 } };
        uint8_t out[16384], in[16384], zeroes[4096] = { 0 };
        struct rig rig;
        int disk;

        up_with(&rig, engines[_i], &disk);
        for (unsigned i = 0; i < 3; i++) {
                struct virtio_blk_range ranges[] = { { 8, 8, ways[i].flags }, { 5, 0, 0 }, { 24, 8, ways[i].flags } };

                fill(out, sizeof(out), i);
                ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, 0, out, sizeof(out)), VIRTIO_BLK_S_OK);
                ck_assert_uint_eq(rig_blk(&rig, 0, ways[i].type, 0, ranges, sizeof(ranges)), VIRTIO_BLK_S_OK);
                ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, 0, in, sizeof(in)), VIRTIO_BLK_S_OK);
                ck_assert_mem_eq(in, out, 4096);
                ck_assert_mem_eq(in + 4096, zeroes, 4096);
                ck_assert_mem_eq(in + 8192, out + 8192, 4096);
                ck_assert_mem_eq(in + 12288, zeroes, 4096);
        }
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(wrong_ranges_are_refused)
{
        struct virtio_blk_range many[17] = { 0 }, beyond = { DISK / 512 - 7, 8, 0 }, wraps = { UINT64_MAX, 8, 0 };
        struct virtio_blk_range unmap = { 0, 8, 1 }, unknown = { 0, 8, 2 }, large = { 0, UINT32_MAX, 0 };
        struct rig rig;
        int disk;

        up_with(&rig, engines[_i], &disk);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_DISCARD, 0, many, sizeof(many)), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_DISCARD, 0, many, 15), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_DISCARD, 0, NULL, 0), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_DISCARD, 0, &beyond, 16), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &wraps, 16), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &large, 16), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_DISCARD, 0, &unmap, 16), VIRTIO_BLK_S_UNSUPP);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &unknown, 16), VIRTIO_BLK_S_UNSUPP);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* No file system gives so much: the full device does not know fallocate, nor does it take a byte. */
START_TEST(a_full_disk_is_an_io_error)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        struct virtio_blk_range range = { 0, 8, 0 };
        int disk = open("/dev/full", O_RDWR | O_CLOEXEC);
        uint8_t bytes[512] = { 1 };
        struct rig rig;

        up(&rig, &device, disk);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, 0, bytes, 512), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, 16), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_DISCARD, 0, &range, 16), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, 0, bytes, 512), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(beyond_the_end_of_the_file_there_are_zeroes)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        int disk = rig_disk(1000, 0);
        uint8_t out[4096], in[4096], zeroes[4096] = { 0 };
        struct rig rig;

        fill(out, sizeof(out), 1);
        ck_assert_int_eq(pwrite(disk, out, 1000, 0), 1000);
        up(&rig, &device, disk);
        memset(in, 0xaa, sizeof(in));
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, 0, in, sizeof(in)), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 4097);
        ck_assert_mem_eq(in, out, 1000);
        ck_assert_mem_eq(in + 1000, zeroes, 4096 - 1000);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* A header over three descriptors, data over two regions, the status byte in the data's last descriptor. */
static void odd_layout(struct rig *rig, bool indirect)
{
        const uint64_t at = RIG_GPA + RIG_DATA, border = RIG_GPA + RIG_MEMORY / 2;
        const struct rig_part parts[] = {
                { at, 3, false },          { at + 3, 12, false },     { 0, 0, false }, { at + 15, 1, false },
                { border - 700, 1400, true }, { at + 100, 2696 + 1, true },
        };
        struct virtio_blk_header header = { .type = htole32(VIRTIO_BLK_T_IN), .sector = htole64(8) };
        uint8_t out[4096];

        fill(out, sizeof(out), 9);
        ck_assert_uint_eq(rig_blk(rig, 1, VIRTIO_BLK_T_OUT, 8, out, sizeof(out)), VIRTIO_BLK_S_OK);
        memcpy(rig_at(rig, at), &header, sizeof(header));
        if (indirect)
                rig_write_indirect(rig, &rig->ring[0], 5, RIG_GPA + RIG_DATA + 8192, parts, 6);
        else
                rig_write_chain(&rig->ring[0], 5, parts, 6);
        *(uint8_t *) rig_at(rig, at + 100 + 2696) = 0xff;
        rig_offer(&rig->ring[0], 5);
        rig_kick(&rig->ring[0]);
        rig_wait_used(&rig->ring[0], 1);
        ck_assert_uint_eq(rig_used(&rig->ring[0], 0).id, 5);
        ck_assert_uint_eq(rig_used(&rig->ring[0], 0).len, 4097);
        ck_assert_uint_eq(*(uint8_t *) rig_at(rig, at + 100 + 2696), VIRTIO_BLK_S_OK);
        ck_assert_mem_eq(rig_at(rig, border - 700), out, 1400);
        ck_assert_mem_eq(rig_at(rig, at + 100), out + 1400, 2696);
}

START_TEST(any_layout_will_do)
{
        struct rig rig;
        int disk;

        up_with(&rig, engines[_i], &disk);
        odd_layout(&rig, false);
        odd_layout(&rig, true);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* Too short for a header: an error status. Nothing writable: nothing but a used entry. */
START_TEST(short_requests_are_completed)
{
        const struct rig_part no_header[] = { { RIG_GPA + RIG_DATA, 15, false }, { RIG_GPA + RIG_DATA + 64, 1, true } };
        const struct rig_part no_status[] = { { RIG_GPA + RIG_DATA, 16, false } };
        struct rig rig;
        int disk;

        up_with(&rig, engines[_i], &disk);
        rig_write_chain(&rig.ring[0], 0, no_header, 2);
        rig_offer(&rig.ring[0], 0);
        rig_kick(&rig.ring[0]);
        rig_wait_used(&rig.ring[0], 1);
        ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 1);
        ck_assert_uint_eq(*(uint8_t *) rig_at(&rig, RIG_GPA + RIG_DATA + 64), VIRTIO_BLK_S_IOERR);
        rig_write_chain(&rig.ring[0], 0, no_status, 1);
        rig_offer(&rig.ring[0], 0);
        rig_kick(&rig.ring[0]);
        rig_wait_used(&rig.ring[0], 1);
        ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 0);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* Where the data of request number i are in its room: every other one is aligned for nothing. */
static uint64_t many_data(unsigned i)
{
        return 1024 + i % 2;
}

/* Request number i of a ring: its own room, descriptors 3i.., its own place on the disk. */
static void many_offer(struct rig *rig, unsigned ring, unsigned i, uint32_t type, uint32_t len)
{
        uint64_t at = RIG_GPA + RIG_DATA + (ring * 32 + i) * 65536;
        struct virtio_blk_header header = { .type = htole32(type), .sector = htole64((ring * 32 + i) * 64) };
        const struct rig_part parts[] = { { at, 16, false },
                                          { at + many_data(i), len, type == VIRTIO_BLK_T_IN },
                                          { at + 16, 1, true } };

        memcpy(rig_at(rig, at), &header, sizeof(header));
        *(uint8_t *) rig_at(rig, at + 16) = 0xff;
        if (type == VIRTIO_BLK_T_OUT)
                fill(rig_at(rig, at + many_data(i)), len, ring * 32 + i);
        else
                memset(rig_at(rig, at + many_data(i)), 0xee, len);
        if (i % 2)
                rig_write_indirect(rig, &rig->ring[ring], (uint16_t) (i * 3), at + 512, parts, 3);
        else
                rig_write_chain(&rig->ring[ring], (uint16_t) (i * 3), parts, 3);
        rig_offer(&rig->ring[ring], (uint16_t) (i * 3));
}

static void many_check(struct rig *rig, unsigned ring, uint32_t type, uint32_t len)
{
        uint8_t *wanted = malloc(len);

        for (unsigned i = 0; i < 32; i++) {
                uint64_t at = RIG_GPA + RIG_DATA + (ring * 32 + i) * 65536;

                ck_assert_uint_eq(*(uint8_t *) rig_at(rig, at + 16), VIRTIO_BLK_S_OK);
                fill(wanted, len, ring * 32 + i);
                if (type == VIRTIO_BLK_T_IN)
                        ck_assert_mem_eq(rig_at(rig, at + many_data(i)), wanted, len);
        }
        free(wanted);
}

static void many_round(struct rig *rig, uint32_t type, uint32_t len)
{
        for (unsigned i = 0; i < 32; i++)
                for (unsigned ring = 0; ring < RIG_QUEUES; ring++) {
                        many_offer(rig, ring, i, type, len);
                        rig_kick(&rig->ring[ring]);
                }
        for (unsigned ring = 0; ring < RIG_QUEUES; ring++) {
                rig_wait_used(&rig->ring[ring], 32);
                many_check(rig, ring, type, len);
        }
}

/* Engines by threads by polling, everything in flight at once. */
START_TEST(many_queues_many_threads)
{
        struct ipc_device device = rig_device(engines[_i % 2], DISK);
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        device.threads = 1 + (unsigned) _i / 2 % 4;
        device.poll_max_us = _i >= 8 ? 100 : 0;
        up(&rig, &device, disk);
        for (unsigned i = 0; i < 20; i++) {
                many_round(&rig, VIRTIO_BLK_T_OUT, 32768);
                many_round(&rig, VIRTIO_BLK_T_IN, 32768);
        }
        rig_done(&rig);
        close(disk);
}
END_TEST

/* Direct I/O; half of the buffers are not aligned for it and go through bounce buffers, which are too few for all. */
START_TEST(direct_io_takes_any_buffer)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        int disk = rig_disk(DISK, O_DIRECT);
        uint8_t in[4096], out[100000 / 512 * 512];
        struct rig rig;

        device.block.direct_memory = device.block.direct_offset = 512;
        up(&rig, &device, disk);
        for (unsigned i = 0; i < 5; i++) {
                many_round(&rig, VIRTIO_BLK_T_OUT, 32768);
                many_round(&rig, VIRTIO_BLK_T_IN, 32768);
        }
        fill(out, sizeof(out), 3);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, 4, out, sizeof(out)), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, 8, in, sizeof(in)), VIRTIO_BLK_S_OK);
        ck_assert_mem_eq(in, out + 2048, sizeof(in));
        odd_layout(&rig, false);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* Without FLUSH in the acked features every write is stable: it still works. */
START_TEST(without_a_flush_writes_are_stable)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        struct virtio_blk_range range = { 0, 8, 0 };
        int disk = rig_disk(DISK, 0);
        uint8_t bytes[512] = { 7 };
        struct rig rig;

        rig_init(&rig, &device, disk);
        rig_configure(&rig, RIG_ACKED & ~VIRTIO_BIT(VIRTIO_BLK_F_FLUSH));
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, 0, bytes, 512), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, 16), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, 0, bytes, 512), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(bytes[0], 0);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(the_null_engine_answers_everything)
{
        struct ipc_device device = rig_device(IPC_ENGINE_NULL, DISK);
        uint8_t bytes[4096];
        struct rig rig;

        memset(bytes, 0x5a, sizeof(bytes));
        up(&rig, &device, -1);
        for (unsigned i = 0; i < 1000; i++)
                ck_assert_uint_eq(rig_blk(&rig, i % RIG_QUEUES, VIRTIO_BLK_T_IN, i, bytes, 4096), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 4097);
        ck_assert_uint_eq(bytes[100], 0x5a);
        rig_done(&rig);
}
END_TEST

START_TEST(rng_fills_what_is_writable)
{
        struct ipc_device device = { .device = VIRTIO_ID_RNG, .queues = 1, .threads = 1, .queue_size = 1024, .features = UINT64_MAX,
                                     .may_lack = IPC_LAYER_LANDLOCK | IPC_LAYER_MDWE };
        const struct rig_part parts[] = { { RIG_GPA + RIG_DATA, 16, false }, { RIG_GPA + RIG_DATA, 5000, true } };
        const struct rig_part large[] = { { RIG_GPA + RIG_DATA, 100000, true } };
        uint8_t zeroes[5000] = { 0 };
        struct rig rig;

        up(&rig, &device, -1);
        rig_write_chain(&rig.ring[0], 0, parts, 2);
        rig_offer(&rig.ring[0], 0);
        rig_kick(&rig.ring[0]);
        rig_wait_used(&rig.ring[0], 1);
        ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 5000);
        ck_assert_mem_ne((uint8_t *) rig_at(&rig, RIG_GPA + RIG_DATA) + 4900, zeroes, 100);
        rig_write_chain(&rig.ring[0], 0, large, 1);
        rig_offer(&rig.ring[0], 0);
        rig_kick(&rig.ring[0]);
        rig_wait_used(&rig.ring[0], 1);
        ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 65536);
        rig_done(&rig);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: block and rng devices");
        TCase *tcase = tcase_create("blk");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tcase, 120);
        tcase_add_loop_test(tcase, reads_what_was_written, 0, 2);
        tcase_add_loop_test(tcase, tells_its_serial, 0, 2);
        tcase_add_loop_test(tcase, refuses_what_it_must, 0, 2);
        tcase_add_loop_test(tcase, a_read_only_disk_is_not_written, 0, 2);
        tcase_add_loop_test(tcase, ranges_become_zeroes, 0, 2);
        tcase_add_loop_test(tcase, wrong_ranges_are_refused, 0, 2);
        tcase_add_loop_test(tcase, a_full_disk_is_an_io_error, 0, 2);
        tcase_add_loop_test(tcase, beyond_the_end_of_the_file_there_are_zeroes, 0, 2);
        tcase_add_loop_test(tcase, any_layout_will_do, 0, 2);
        tcase_add_loop_test(tcase, short_requests_are_completed, 0, 2);
        tcase_add_loop_test(tcase, many_queues_many_threads, 0, 16);
        tcase_add_loop_test(tcase, direct_io_takes_any_buffer, 0, 2);
        tcase_add_loop_test(tcase, without_a_flush_writes_are_stable, 0, 2);
        tcase_add_test(tcase, the_null_engine_answers_everything);
        tcase_add_test(tcase, rng_fills_what_is_writable);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
