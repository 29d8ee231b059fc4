/*
 * vhostctl stats against real devices: after a known number of requests the counters are equal to it, whoever served
 * them, and go on when the front-end comes again.
 */
#include "run_ctl.h"

#include "array.h"
#include "drv_rng.h"
#include "stats_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const engines[] = { "uring", "sync", "null" };

enum { READS = 23, READ_BYTES = 4096, WRITES = 17, WRITE_BYTES = 1024, FLUSHES = 5, IDS = 3, RANGE_SECTORS = 16 };

/* A fact of "stats DEVICE"; fails the test if it is not there. */
static uint64_t fact(const struct ctl_said *said, const char *name)
{
        const char *at = said->out;
        size_t n = strlen(name);

        while (at && (strncmp(at, name, n) != 0 || at[n] != ' ')) {
                at = strchr(at, '\n');
                at = at ? at + 1 : NULL;
        }
        ck_assert_msg(at != NULL, "no %s in: %.3000s", name, said->out);
        return strtoull(at + n, NULL, 10);
}

static void expect(const struct ctl_said *said, const char *name, uint64_t wanted)
{
        uint64_t got = fact(said, name);

        ck_assert_msg(got == wanted, "%s: %" PRIu64 " instead of %" PRIu64, name, got, wanted);
}

static void ask(const struct rig *rig, struct ctl_said *said)
{
        CTL(rig, said, "stats", "block");
        ctl_expect(said, 0);
}

/* Each kind of request in its own number, and some that are refused. */
static void work(struct drv_blk *blk)
{
        const struct virtio_blk_range range = { .sector = htole64(64), .sectors = htole32(RANGE_SECTORS) };
        struct drv_blk_req *req;
        char id[VIRTIO_BLK_ID_BYTES + 1];
        uint8_t bytes[READ_BYTES] = { 0 };

        for (unsigned i = 0; i < READS; i++)
                OK(drv_blk_read(blk, i * 8, bytes, READ_BYTES));
        for (unsigned i = 0; i < WRITES; i++)
                OK(drv_blk_write(blk, i * 2, bytes, WRITE_BYTES));
        for (unsigned i = 0; i < FLUSHES; i++)
                OK(drv_blk_flush(blk));
        for (unsigned i = 0; i < IDS; i++)
                OK(drv_blk_get_id(blk, id));
        OK(drv_blk_ranges(blk, VIRTIO_BLK_T_WRITE_ZEROES, &range, 1));
        OK(drv_blk_ranges(blk, VIRTIO_BLK_T_DISCARD, &range, 1));
        ck_assert_int_eq(drv_blk_run(blk, VIRTIO_BLK_T_IN, UINT64_MAX / 1024, 512, FE_TIMEOUT_MS, &req),
                         VIRTIO_BLK_S_IOERR);
        ck_assert_int_eq(drv_blk_run(blk, 4711, 0, 512, FE_TIMEOUT_MS, &req), VIRTIO_BLK_S_UNSUPP);
        ck_assert_int_eq(drv_blk_run(blk, 4712, 0, 512, FE_TIMEOUT_MS, &req), VIRTIO_BLK_S_UNSUPP);
}

enum { REQUESTS = READS + WRITES + FLUSHES + IDS + 5 };

static void expect_work(const struct ctl_said *said, unsigned times)
{
        expect(said, "reads", times * (READS + 1));
        expect(said, "read_bytes", times * READS * READ_BYTES);
        expect(said, "writes", times * WRITES);
        expect(said, "write_bytes", times * WRITES * WRITE_BYTES);
        expect(said, "flushes", times * FLUSHES);
        expect(said, "discards", times);
        expect(said, "discard_bytes", times * RANGE_SECTORS * 512);
        expect(said, "write_zeroes", times);
        expect(said, "write_zeroes_bytes", times * RANGE_SECTORS * 512);
        expect(said, "others", times * (IDS + 2));
        expect(said, "io_errors", times);
        expect(said, "unsupported", times * 2);
        expect(said, "in_flight", 0);
        expect(said, "broken_vrings", 0);
}

/* Two loops with a queue each; then another worker, another session, the same device. */
START_TEST(counters_equal_what_was_done)
{
        RIG_WITH(rig, .engine = engines[_i], .set = { "worker.threads=2" });
        unsigned long kicks = 0;
        struct ctl_said said;

        for (unsigned round = 1; round <= 2; round++) {
                struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });

                for (unsigned q = 0; q < 2; q++) {
                        struct drv_blk blk = rig_blk(&device, q);

                        work(&blk);
                        kicks += device.vring[q]->kicks;
                        drv_blk_done(&blk);
                }
                for (unsigned q = 0; q < 2; q++) {
                        uint32_t base;

                        OK(fe_get_vring_base(&device.conn, q, &base)); /* answered when all is counted */
                }
                ask(&rig, &said);
                expect_work(&said, round * 2);
                ck_assert_uint_ge(fact(&said, "kicks"), 1);
                ck_assert_uint_le(fact(&said, "kicks"), kicks);
                ck_assert_uint_ge(fact(&said, "calls"), 1);
                ck_assert_uint_le(fact(&said, "calls"), round * 2 * (REQUESTS + 1)); /* and one to begin with */
                fe_device_drop(&device);
                rig_await_idle(&rig);
        }
        ask(&rig, &said);
        expect_work(&said, 4);
}
END_TEST

/*
 * The driver's own clock sees more of a request than the worker's, unless the worker rests between a look at its clock and
 * one at the ring: half of them are below the driver's longest.
 */
START_TEST(latencies_are_those_of_the_requests)
{
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        long long longest = 0;
        struct ctl_said said;
        char expected[64];
        uint32_t base;

        for (unsigned i = 0; i < READS; i++) {
                long long from = fe_now_ns();

                rig_read_one(&rig, &blk);
                if (fe_now_ns() - from > longest)
                        longest = fe_now_ns() - from;
        }
        OK(fe_get_vring_base(&device.conn, 0, &base));
        ask(&rig, &said);
        ck_assert_uint_ge(fact(&said, "read_us_p50"), 1);
        ck_assert_uint_ge(fact(&said, "read_us_p99"), fact(&said, "read_us_p50"));
        ck_assert_uint_ge(fact(&said, "read_us_p99.9"), fact(&said, "read_us_p99"));
        ck_assert_uint_le(fact(&said, "read_us_p50"), stats_bucket_end(stats_bucket_of((uint64_t) longest)) / 1000);
        ctl_expect_text(&said, "write_us_p99           -\n");
        CTL(&rig, &said, "--json", "stats", "block");
        ctl_expect(&said, 0);
        ctl_expect_json(&said);
        snprintf(expected, sizeof(expected), "\"read_latency_ns\":{\"count\":%d,\"p50\":", READS);
        ctl_expect_text(&said, expected);
        ctl_expect_text(&said, "\"write_latency_ns\":{\"count\":0,\"p50\":0,\"p99\":0,\"p99_9\":0,\"buckets\":[]}");
        drv_blk_done(&blk);
        fe_device_drop(&device);
}
END_TEST

START_TEST(what_breaks_is_counted)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        const struct drv_seg nowhere = { .gpa = UINT64_C(1) << 60, .len = 512, .write = true };
        struct ctl_said said;

        OK(drv_add(device.vring[0], &nowhere, 1, DRV_DIRECT, NULL));
        drv_kick(device.vring[0]);
        OK(prog_log_wait(&rig.prog, 0, "vring 0: ", FE_TIMEOUT_MS));
        ask(&rig, &said);
        expect(&said, "broken_vrings", 1);
        expect(&said, "reads", 0);
        fe_device_drop(&device);
}
END_TEST

/* A line for each, and what one does is not told of the other. */
START_TEST(devices_have_their_own)
{
        RIG_WITH(rig, .engine = "sync", .neighbour = true);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct ctl_said said;
        uint32_t base;

        rig_read_one(&rig, &blk);
        drv_blk_done(&blk);
        OK(fe_get_vring_base(&device.conn, 0, &base));
        CTL(&rig, &said, "stats");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "\na                    serving              1");
        ctl_expect_text(&said, "\nb                    idle                 0");
        CTL(&rig, &said, "stats", "--json");
        ctl_expect(&said, 0);
        ctl_expect_json(&said);
        CTL(&rig, &said, "stats", "c");
        ctl_expect(&said, 4);
        fe_device_drop(&device);
}
END_TEST

START_TEST(an_entropy_device_counts)
{
        RIG_WITH(rig, .type = "rng");
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct ctl_said said;
        struct fe_buf buf;
        uint32_t base, got;

        OK(fe_mem_alloc(device.mem, 0, 100, 4, &buf));
        OK(drv_rng_read(device.vring[0], &buf, 100, &got));
        OK(fe_get_vring_base(&device.conn, 0, &base));
        CTL(&rig, &said, "stats", "rng");
        ctl_expect(&said, 0);
        expect(&said, "reads", 1);
        expect(&said, "read_bytes", 100);
        fe_device_drop(&device);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ctl_stats");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_loop_test(all, counters_equal_what_was_done, 0, ARRAY_SIZE(engines));
        tcase_add_loop_test(all, latencies_are_those_of_the_requests, 0, 2);
        tcase_add_test(all, what_breaks_is_counted);
        tcase_add_test(all, devices_have_their_own);
        tcase_add_test(all, an_entropy_device_counts);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
