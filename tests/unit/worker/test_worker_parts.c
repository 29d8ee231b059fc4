/*
 * The worker's small decisions: cursors over a chain, states of a vring, the polling window, block requests, config
 * space, in-flight tracking.
 */
#include "aged.h"
#include "array.h"
#include "chain.h"
#include "dev/blk_config.h"
#include "dev/blk_order.h"
#include "inflight.h"
#include "poll_window.h"
#include "vring_state.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

START_TEST(cursors_consume_and_refuse)
{
        char a[] = "abc", b[] = "defgh", to[9] = "";
        struct iovec parts[] = { { a, 3 }, { b, 5 } };
        struct chain_cursor cursor = { parts, 2, 8 };
        uint8_t *tail;

        ck_assert_int_eq(chain_get(&cursor, to, 9), -ENODATA);
        ck_assert_uint_eq(cursor.left, 8);
        ck_assert_int_eq(chain_tail(&cursor, &tail), 0);
        ck_assert_ptr_eq(tail, (uint8_t *) b + 4);
        ck_assert_int_eq(chain_get(&cursor, to, 4), 0);
        ck_assert_mem_eq(to, "abcd", 4);
        ck_assert_int_eq(chain_put(&cursor, "XYZ!", 4), -ENOSPC);
        ck_assert_int_eq(chain_put(&cursor, "XYZ", 3), 0);
        ck_assert_mem_eq(b, "dXYZh", 5);
        ck_assert_uint_eq(cursor.left, 0);
        ck_assert_uint_eq(cursor.n, 0);
        ck_assert_int_eq(chain_tail(&cursor, &tail), -ENOSPC);
        ck_assert_int_eq(chain_get(&cursor, to, 0), 0);
}
END_TEST

START_TEST(a_tail_of_one_byte_ends_its_part)
{
        char a[] = "ab", b[] = "c";
        struct iovec parts[] = { { a, 2 }, { b, 1 } };
        struct chain_cursor cursor = { parts, 2, 3 };
        uint8_t *tail;

        ck_assert_int_eq(chain_tail(&cursor, &tail), 0);
        ck_assert_ptr_eq(tail, (uint8_t *) b);
        ck_assert_uint_eq(cursor.n, 1);
        ck_assert_int_eq(chain_tail(&cursor, &tail), 0);
        ck_assert_ptr_eq(tail, (uint8_t *) a + 1);
        ck_assert_uint_eq(cursor.left, 1);
}
END_TEST

START_TEST(a_broken_vring_is_cured_by_a_stop_only)
{
        ck_assert_int_eq(vring_state_after(STARTED_ON, VRING_FAULT), BROKEN);
        ck_assert_int_eq(vring_state_after(BROKEN, VRING_START), BROKEN);
        ck_assert_int_eq(vring_state_after(BROKEN, VRING_ENABLE), BROKEN);
        ck_assert_int_eq(vring_state_after(BROKEN, VRING_STOP), STOPPED_OFF);
        ck_assert_int_eq(vring_state_after(STOPPED_ON, VRING_START), STARTED_ON);
        ck_assert_int_eq(vring_state_after(STOPPED_OFF, VRING_START), STARTED_OFF);
        ck_assert_int_eq(vring_state_after(STARTED_ON, VRING_DISABLE), STARTED_OFF);
        ck_assert_int_eq(vring_state_after(STARTED_ON, VRING_STOP), STOPPED_ON);
        ck_assert(vring_state_started(STARTED_OFF) && !vring_state_started(BROKEN));
}
END_TEST

START_TEST(the_window_grows_while_it_pays)
{
        struct poll_window window = { .most = 50000 }, off = { 0 };

        for (int i = 0; i < 10; i++)
                poll_window_slept(&window, 10000);
        ck_assert_uint_eq(window.now, 50000);
        poll_window_paid(&window);
        ck_assert_uint_eq(window.now, 50000);
        poll_window_slept(&window, 1000000);
        ck_assert_uint_eq(window.now, 0);
        poll_window_slept(&off, 1);
        poll_window_paid(&off);
        ck_assert_uint_eq(off.now, 0);
}
END_TEST

static const struct blk_limits limits = { .capacity = 1 << 20, .block_size = 4096, .discard = true,
                                          .write_zeroes = true },
                               thick = { .capacity = 1 << 20, .block_size = 4096, .write_zeroes = true };

/* Judges a request of a header, `n` bytes behind it, and `writable` bytes for the device. */
static uint8_t judge_by(const struct blk_limits *by, uint32_t type, uint64_t sector, const void *more, size_t n,
                        size_t writable, struct blk_order *order)
{
        static uint8_t room[1 << 16];
        struct virtio_blk_header header = { .type = htole32(type), .sector = htole64(sector) };
        struct iovec out[] = { { &header, sizeof(header) }, { (void *) more, n } }, in[] = { { room, writable } };
        struct chain chain = { .out = { out, n ? 2 : 1, sizeof(header) + n }, .in = { in, 1, writable } };

        return blk_judge(by, &chain, order);
}

#define judge(...) judge_by(&limits, __VA_ARGS__)

START_TEST(requests_are_judged)
{
        static uint8_t data[8192];
        struct blk_order order;

        ck_assert_uint_eq(judge(VIRTIO_BLK_T_IN, 8, NULL, 0, 4096, &order), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(order.offset, 4096);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_OUT, 2040, data, 4096, 0, &order), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_OUT, 2040, data, 8192, 0, &order), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_IN, 1, NULL, 0, 4096, &order), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_IN, 8, NULL, 0, 512, &order), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_IN, UINT64_MAX - 7, NULL, 0, 4096, &order), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_IN, UINT64_C(1) << 55, NULL, 0, 4096, &order), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(judge(3, 0, NULL, 0, 0, &order), VIRTIO_BLK_S_UNSUPP);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_GET_ID, UINT64_MAX, NULL, 0, 20, &order), VIRTIO_BLK_S_OK);
}
END_TEST

START_TEST(ranges_are_judged)
{
        struct virtio_blk_range two[] = { { 8, 8, 0 }, { 16, 0, 0 } }, odd = { 1, 8, 0 }, last = { 2040, 8, 0 };
        struct virtio_blk_range beyond = { 2040, 16, 0 }, unmap = { 0, 8, 1 };
        struct blk_order order;

        ck_assert_uint_eq(judge(VIRTIO_BLK_T_DISCARD, 0, two, sizeof(two), 0, &order), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(order.n_ranges, 2);
        ck_assert_uint_eq(order.range[0].offset, 4096);
        ck_assert_uint_eq(order.range[0].len, 4096);
        ck_assert(order.range[0].unmap);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_DISCARD, 0, &odd, 16, 0, &order), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_WRITE_ZEROES, 0, &last, 16, 0, &order), VIRTIO_BLK_S_OK);
        ck_assert(!order.range[0].unmap);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_WRITE_ZEROES, 0, &beyond, 16, 0, &order), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_WRITE_ZEROES, 0, &unmap, 16, 0, &order), VIRTIO_BLK_S_OK);
        ck_assert(order.range[0].unmap);
        ck_assert_uint_eq(judge_by(&thick, VIRTIO_BLK_T_WRITE_ZEROES, 0, &unmap, 16, 0, &order), VIRTIO_BLK_S_OK);
        ck_assert(!order.range[0].unmap); /* Discard=no: the zeroes are written */
        ck_assert_uint_eq(judge(VIRTIO_BLK_T_DISCARD, 0, &unmap, 16, 0, &order), VIRTIO_BLK_S_UNSUPP);
}
END_TEST

START_TEST(features_follow_the_config)
{
        struct ipc_device device = { .queues = 1, .features = UINT64_MAX, .block = { .read_only = 1, .discard = 1 } };
        uint64_t features = blk_features(&device);

        ck_assert(features & VIRTIO_BIT(VIRTIO_BLK_F_RO));
        ck_assert(!(features & (VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) | VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) |
                                VIRTIO_BIT(VIRTIO_BLK_F_MQ))));
        device.block = (struct ipc_block){ .discard = 1 };
        device.queues = 2;
        features = blk_features(&device);
        ck_assert(!(features & VIRTIO_BIT(VIRTIO_BLK_F_RO)));
        ck_assert(features & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) && features & VIRTIO_BIT(VIRTIO_BLK_F_MQ));
        device.features = VIRTIO_BIT(VIRTIO_F_VERSION_1);
        ck_assert_uint_eq(blk_features(&device), VIRTIO_BIT(VIRTIO_F_VERSION_1));
}
END_TEST

START_TEST(the_config_space_is_laid_out)
{
        struct ipc_device device = { .queues = 4, .queue_size = 1024, .block = { .capacity = 1 << 20, .block_size = 512, .discard = 1,
                                                             .physical_size = 4096, .optimal_io = 65536 } };
        struct virtio_blk_config config;
        uint8_t bytes[VU_CONFIG_MAX], zero = 0, two = 2;
        bool writeback = true;

        ck_assert_uint_eq(blk_config_fill(&device, bytes), 96);
        memcpy(&config, bytes, sizeof(config));
        ck_assert_uint_eq(le64toh(config.capacity), 2048);
        ck_assert_uint_eq(le32toh(config.seg_max), 126);
        ck_assert_uint_eq(config.physical_block_exp, 3);
        ck_assert_uint_eq(le32toh(config.opt_io_size), 128);
        ck_assert_uint_eq(le16toh(config.num_queues), 4);
        ck_assert_uint_eq(le32toh(config.max_discard_seg), BLK_RANGES_MAX);
        device.queue_size = 64;
        blk_config_fill(&device, bytes);
        memcpy(&config, bytes, sizeof(config));
        ck_assert_uint_eq(le32toh(config.seg_max), 62);
        ck_assert_int_eq(blk_config_write(bytes, 32, &zero, 1, &writeback), 0);
        ck_assert(!writeback);
        ck_assert_int_eq(blk_config_write(bytes, 32, &two, 1, &writeback), -EINVAL);
        ck_assert_int_eq(blk_config_write(bytes, 33, &two, 1, &writeback), -EINVAL);
        ck_assert_int_eq(blk_config_write(bytes, 255, &zero, 1, &writeback), 0);
}
END_TEST

START_TEST(wrong_areas_are_refused)
{
        static const struct {
                struct ipc_inflight what;
                int error;
        } cases[] = {
                { { 8192, 0, 2, 128 }, 0 },
                { { 8192, 0, 0, 128 }, -EINVAL },
                { { 8192, 0, 257, 1 }, -EINVAL },
                { { 8192, 0, 2, 0 }, -EINVAL },
                { { 8192, 0, 2, 65535 }, -EINVAL },
                { { 8192, 0, 4, 128 }, -EINVAL },          /* needs more than its size */
                { { 8193, 0, 2, 128 }, -EINVAL },          /* more than the file */
                { { 8192, 1, 2, 128 }, -EINVAL },
                { { UINT64_MAX, 8, 2, 128 }, -EINVAL },
                { { 4096, 4096 + 8, 1, 128 }, -EINVAL },
                { { 4096, 4096, 1, 128 }, 0 },
        };
        int fd = memfd_create("area", MFD_CLOEXEC);

        ck_assert_int_eq(ftruncate(fd, 8192), 0);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct inflight_area area = { 0 };
                struct inflight inflight;

                ck_assert_int_eq(inflight_area_map(&cases[i].what, fd, &area), cases[i].error);
                if (cases[i].error == 0) {
                        ck_assert_int_eq(inflight_of(&area, area.queues - 1, 128, &inflight), 0);
                        ck_assert_int_eq(inflight_of(&area, area.queues, 128, &inflight), -EINVAL);
                        ck_assert_int_eq(inflight_of(&area, 0, 256, &inflight), -EINVAL);
                }
                inflight_area_done(&area);
        }
        close(fd);
}
END_TEST

/* Ages by `step` from `first` on, 8 bits of them: up, down, equal, in no order. */
static void check_aged(unsigned n, unsigned first, unsigned step)
{
        static struct aged list[UINT16_MAX];
        static bool seen[UINT16_MAX];
        bool right = true; /* of all: libcheck makes a note of each assertion */

        memset(seen, 0, sizeof(seen));
        for (unsigned i = 0; i < n; i++)
                list[i] = (struct aged){ .age = (uint8_t) (first + i * step), .head = (uint16_t) i };
        aged_sort(list, n);
        for (unsigned i = 0; i < n; i++) {
                right = right && list[i].age == (uint8_t) (first + list[i].head * step) && !seen[list[i].head];
                seen[list[i].head] = true;
                if (i && list[i - 1].age == list[i].age)
                        right = right && list[i - 1].head < list[i].head;
                else if (i)
                        right = right && list[i - 1].age < list[i].age;
        }
        ck_assert_msg(right, "%u, from %u, by %u", n, first, step);
}

START_TEST(the_eldest_comes_first)
{
        static const unsigned sizes[] = { 0, 1, 2, 3, 7, 8, 255, 1000, 32768 };

        for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
                for (unsigned step = 0; step < 256; step += 51)
                        check_aged(sizes[i], 17 * i, step);
}
END_TEST

/* Each step of completing a batch may be the last one; whatever it was, the next life finds the truth. */
START_TEST(a_batch_may_be_cut_anywhere)
{
        static const uint16_t batch[] = { 5, 1, 7 };
        struct ipc_inflight what = { 4096, 0, 1, 16 };
        int fd = memfd_create("area", MFD_CLOEXEC);
        struct inflight_area area;
        struct inflight inflight;
        uint16_t heads[16];
        unsigned n;

        ck_assert_int_eq(ftruncate(fd, 4096), 0);
        ck_assert_int_eq(inflight_area_map(&what, fd, &area), 0);
        for (int cut = 0; cut < 5; cut++) {
                ck_assert_int_eq(inflight_of(&area, 0, 16, &inflight), 0);
                inflight_begin(&inflight, 100);
                ck_assert(inflight_begun(&inflight));
                inflight_take(&inflight, 5);
                inflight_take(&inflight, 3);
                inflight_take(&inflight, 1);
                inflight_take(&inflight, 7);
                if (cut > 0)
                        inflight_prepare(&inflight, batch, cut < 2 ? 1 : 3);
                if (cut == 4)
                        inflight_settle(&inflight, batch, 3, 103);
                else if (cut == 3)
                        shared_store8(&inflight.desc[5].inflight, 0, __ATOMIC_RELAXED); /* settled in part */
                ck_assert_int_eq(inflight_resume(&inflight, cut < 3 ? 100 : 103, heads, &n), 0);
                if (cut < 3) { /* not published: all four again, oldest first */
                        ck_assert_uint_eq(n, 4);
                        ck_assert_mem_eq(heads, ((const uint16_t[]){ 5, 3, 1, 7 }), 8);
                } else {
                        ck_assert_uint_eq(n, 1);
                        ck_assert_uint_eq(heads[0], 3);
                }
        }
        inflight_area_done(&area);
        close(fd);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: parts");
        TCase *tcase = tcase_create("parts");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(tcase, cursors_consume_and_refuse);
        tcase_add_test(tcase, a_tail_of_one_byte_ends_its_part);
        tcase_add_test(tcase, a_broken_vring_is_cured_by_a_stop_only);
        tcase_add_test(tcase, the_window_grows_while_it_pays);
        tcase_add_test(tcase, requests_are_judged);
        tcase_add_test(tcase, ranges_are_judged);
        tcase_add_test(tcase, features_follow_the_config);
        tcase_add_test(tcase, the_config_space_is_laid_out);
        tcase_add_test(tcase, wrong_areas_are_refused);
        tcase_add_test(tcase, a_batch_may_be_cut_anywhere);
        tcase_add_test(tcase, the_eldest_comes_first);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
