/*
 * Statistics: the file that a worker writes to, and arithmetic with whatever stands there.
 */
#include "statistics.h"
#include "stats_sum.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOPS = 3, NOEXEC_SEAL = 0x0008, SEAL_EXEC = 0x0020 /* newer than the C library's headers */ };

START_TEST(nobody_resizes_or_executes_the_file)
{
        AUTO_FD file = FD_NONE, other = { memfd_create("other", MFD_CLOEXEC | NOEXEC_SEAL) };
        const int exec = fd_has(&other) ? SEAL_EXEC : 0; /* the kernel's age */

        ck_assert_int_eq(statistics_make("vm1", LOOPS, &file), 0);
        ck_assert_int_eq(fcntl(file.num, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | exec);
        ck_assert_int_eq(fchmod(file.num, 0700), exec ? -1 : 0);
        ck_assert_int_eq(ftruncate(file.num, 0), -1);
        ck_assert_int_eq(errno, EPERM);
        ck_assert_int_eq(ftruncate(file.num, (LOOPS + 1) * STATS_PAGE), -1);
        ck_assert_int_eq(fcntl(file.num, F_ADD_SEALS, F_SEAL_WRITE), -1);
}
END_TEST

START_TEST(pages_are_read_as_they_are)
{
        AUTO_FD file = FD_NONE;
        struct stats_page page = { .calls = 7, .latency[1][STATS_BUCKETS - 1] = UINT64_MAX }, got;
        struct stat st;

        ck_assert_int_eq(statistics_make("vm1", LOOPS, &file), 0);
        ck_assert_int_eq(statistics_read(file.num, LOOPS, 1, &got), 0);
        ck_assert_uint_eq(got.calls, 0);
        ck_assert_int_eq(pwrite(file.num, &page, sizeof(page), STATS_PAGE), sizeof(page));
        ck_assert_int_eq(statistics_read(file.num, LOOPS, 1, &got), 0);
        ck_assert_mem_eq(&got, &page, sizeof(page));
        for (unsigned i = 0; i < LOOPS; i += 2) {
                ck_assert_int_eq(statistics_read(file.num, LOOPS, i, &got), 0);
                ck_assert_uint_eq(got.calls, 0);
        }
        ck_assert_int_eq(fstat(file.num, &st), 0);
        ck_assert_int_eq(st.st_blocks * 512, STATS_PAGE); /* reading has made no page */
        ck_assert_int_eq(statistics_read(file.num, LOOPS, LOOPS, &got), -ENOENT);
        ck_assert_int_eq(statistics_read(file.num, LOOPS, UINT32_MAX, &got), -ENOENT);
        ck_assert_int_eq(fallocate(file.num, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LOOPS * STATS_PAGE), 0);
        ck_assert_int_eq(statistics_read(file.num, LOOPS, 1, &got), 0);
        ck_assert_uint_eq(got.calls, 0);
}
END_TEST

/* Each bucket ends where the next one begins, and is at most an eighth of what it holds. */
START_TEST(buckets_cover_all_times)
{
        uint64_t from = 0;

        for (unsigned i = 0; i < STATS_BUCKETS; i++) {
                uint64_t end = stats_bucket_end(i);

                ck_assert_uint_lt(from, end);
                ck_assert_uint_eq(stats_bucket_of(from), i);
                ck_assert_uint_eq(stats_bucket_of(end - 1), i);
                ck_assert(i == 0 || i == STATS_BUCKETS - 1 || (end - from) * 8 <= from);
                from = end;
        }
        ck_assert_uint_eq(stats_bucket_of(UINT64_MAX), STATS_BUCKETS - 1);
        ck_assert_uint_eq(stats_bucket_end(STATS_BUCKETS - 2), UINT64_C(1) << STATS_MOST_BITS);
}
END_TEST

START_TEST(quantiles_are_exact_to_a_bucket)
{
        uint64_t latency[STATS_BUCKETS] = { 0 };

        ck_assert_uint_eq(stats_quantile(latency, 500), 0);
        latency[10] = 1;
        ck_assert_uint_eq(stats_quantile(latency, 1), stats_bucket_end(10));
        ck_assert_uint_eq(stats_quantile(latency, 999), stats_bucket_end(10));
        latency[10] = 990;
        latency[20] = 9;
        latency[STATS_BUCKETS - 1] = 1;
        ck_assert_uint_eq(stats_count(latency), 1000);
        ck_assert_uint_eq(stats_quantile(latency, 500), stats_bucket_end(10));
        ck_assert_uint_eq(stats_quantile(latency, 990), stats_bucket_end(10));
        ck_assert_uint_eq(stats_quantile(latency, 991), stats_bucket_end(20));
        ck_assert_uint_eq(stats_quantile(latency, 999), stats_bucket_end(20));
        ck_assert_uint_eq(stats_quantile(latency, 1000), UINT64_MAX);
}
END_TEST

/* The same as summing up with numbers that are wide enough. */
START_TEST(any_number_may_stand_anywhere)
{
        static const uint64_t some[] = { 0, 1, 7, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX };
        const unsigned n = sizeof(some) / sizeof(some[0]);
        struct stats_page sum = { 0 }, page, most = { 0 };

        for (unsigned i = 0; i < n * n * n; i++) {
                const uint64_t a = some[i % n], b = some[i / n % n], c = some[i / n / n];
                uint64_t latency[STATS_BUCKETS] = { [0] = a, [5] = b, [STATS_BUCKETS - 1] = c };
                const __uint128_t all = (__uint128_t) a + b + c;

                ck_assert_uint_eq(stats_count(latency), all > UINT64_MAX ? UINT64_MAX : (uint64_t) all);
                for (unsigned q = 1; all && all <= UINT64_MAX && q <= 1000; q += 111) {
                        const __uint128_t wanted = (all * q + 999) / 1000;
                        unsigned bucket = wanted <= a ? 0 : wanted <= (__uint128_t) a + b ? 5 : STATS_BUCKETS - 1;

                        ck_assert_uint_eq(stats_quantile(latency, q), stats_bucket_end(bucket));
                }
                (void) stats_quantile(latency, 999);
        }
        memset(&page, 0xff, sizeof(page));
        memset(&most, 0xff, STATS_COUNTERS * sizeof(uint64_t)); /* state is nothing to be added up */
        stats_sum(&sum, &page);
        stats_sum(&sum, &page);
        ck_assert_mem_eq(&sum, &most, sizeof(sum));
        ck_assert_uint_ne(stats_quantile(sum.latency[0], 500), 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("statistics");
        TCase *all = tcase_create("all");
        SRunner *runner;
        int failed;

        tcase_add_test(all, nobody_resizes_or_executes_the_file);
        tcase_add_test(all, pages_are_read_as_they_are);
        tcase_add_test(all, buckets_cover_all_times);
        tcase_add_test(all, quantiles_are_exact_to_a_bucket);
        tcase_add_test(all, any_number_may_stand_anywhere);
        suite_add_tcase(suite, all);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed != 0;
}
