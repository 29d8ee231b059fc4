/*
 * Lines: cut, cleaned, limited.
 */
#include "log.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct seen {
        char text[LOG_TEXT_MAX];
        int n;
};

static void note(void *context, enum log_level level, const char *text)
{
        struct seen *seen = context;

        (void) level;
        strcpy(seen->text, text);
        seen->n++;
}

START_TEST(cuts_and_filters)
{
        struct seen seen = { 0 };
        struct log log = { .sink = note, .context = &seen, .most = LOG_LEVEL_INFO };
        char longer[2 * LOG_TEXT_MAX];

        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        log_debug(&log, "not shown");
        ck_assert_int_eq(seen.n, 0);
        log_info(&log, "%s", longer);
        ck_assert_int_eq(seen.n, 1);
        ck_assert_uint_eq(strlen(seen.text), LOG_TEXT_MAX - 1);
}
END_TEST

START_TEST(cleans_what_a_peer_wrote)
{
        char text[] = "ok \x1b[31m\n\xff~";

        log_clean(text, sizeof(text) - 1);
        ck_assert_str_eq(text, "ok ?[31m??~");
}
END_TEST

START_TEST(names_errors)
{
        ck_assert_str_eq(log_errno(-22), "EINVAL");
        ck_assert_str_eq(log_errno(22), "EINVAL");
        ck_assert_str_eq(log_errno(-99999), "?");
        for (int error = 1; error < 4096; error++) {
                const char *name = strerrorname_np(error);

                ck_assert_str_eq(log_errno(error), name ? name : "?");
        }
}
END_TEST

START_TEST(limits_the_rate)
{
        struct log_limit limit = { 0 };
        long long now = 1000;
        int taken = 0;

        for (int i = 0; i < 100; i++)
                taken += log_limit_take(&limit, now, 10, 20);
        ck_assert_int_eq(taken, 20);
        ck_assert_uint_eq(limit.dropped, 80);
        ck_assert(log_limit_take(&limit, now + 100000000, 10, 20));
        ck_assert(!log_limit_take(&limit, now + 100000000, 10, 20));
        for (taken = 0; log_limit_take(&limit, now + 3600000000000, 10, 20);)
                taken++;
        ck_assert_int_eq(taken, 20);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("log");
        TCase *all = tcase_create("all");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(all, cuts_and_filters);
        tcase_add_test(all, cleans_what_a_peer_wrote);
        tcase_add_test(all, names_errors);
        tcase_add_test(all, limits_the_rate);
        suite_add_tcase(suite, all);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
