/*
 * Ids: none is given twice while it is taken, and a lock file keeps brokers apart.
 */
#include "slots.h"
#include "uid_lock.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 400 };

/* Keeps the last one. */
static void keep_line(void *context, enum log_level level, const char *text)
{
        (void) level;
        snprintf(context, LINE_BYTES, "%s", text);
}

START_TEST(no_id_twice)
{
        struct slots slots;
        uint32_t id, seen[4];

        ck_assert_int_eq(slots_init(&slots, 5, false), 0);
        for (unsigned i = 0; i < 4; i++) {
                ck_assert_int_eq(slots_take(&slots, &seen[i]), 0);
                ck_assert_uint_ge(seen[i], 1);
                ck_assert_uint_lt(seen[i], 5);
                for (unsigned j = 0; j < i; j++)
                        ck_assert_uint_ne(seen[i], seen[j]);
        }
        ck_assert_int_eq(slots_take(&slots, &id), -EBUSY);
        slots_give_back(&slots, seen[2]);
        ck_assert_int_eq(slots_take(&slots, &id), 0);
        ck_assert_uint_eq(id, seen[2]);
        slots_done(&slots);
}
END_TEST

START_TEST(one_id_for_all_if_there_is_no_other)
{
        struct slots slots;
        uint32_t id;

        ck_assert_int_eq(slots_init(&slots, 1, true), 0);
        for (int i = 0; i < 3; i++) {
                ck_assert_int_eq(slots_take(&slots, &id), 0);
                ck_assert_uint_eq(id, 0);
        }
        slots_done(&slots);
}
END_TEST

START_TEST(brokers_get_disjoint_ids)
{
        char line[LINE_BYTES] = "";
        const struct log log = { .sink = keep_line, .context = line, .most = LOG_LEVEL_DEBUG };
        char dir[] = "/tmp/uid-lock-XXXXXX", path[64];
        struct fd lock[4];
        uint32_t first[4];

        ck_assert_ptr_nonnull(mkdtemp(dir));
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(uid_lock(dir, 70000, 100, 30, &log, &lock[i], &first[i]), 0);
        ck_assert_uint_eq(first[0], 70000);
        ck_assert_uint_eq(first[1], 70030);
        ck_assert_uint_eq(first[2], 70060);
        ck_assert_int_eq(uid_lock(dir, 70000, 100, 30, &log, &lock[3], &first[3]), -ENOSPC);
        fd_close(&lock[1]);
        ck_assert_int_eq(uid_lock(dir, 70000, 100, 40, &log, &lock[1], &first[1]), -ENOSPC);
        ck_assert_int_eq(uid_lock(dir, 70000, 100, 10, &log, &lock[1], &first[1]), 0);
        ck_assert_uint_eq(first[1], 70030);
        ck_assert_int_eq(uid_lock(dir, 70000, 100, 20, &log, &lock[3], &first[3]), 0);
        ck_assert_uint_eq(first[3], 70040);
        fd_close_all(lock, 4);
        ck_assert_int_eq(uid_lock("/proc/nowhere", 70000, 100, 1, &log, &lock[0], &first[0]), -ENOENT);
        snprintf(path, sizeof(path), "%s/uids.lock", dir);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(no_place_for_a_lock)
{
        char line[LINE_BYTES] = "", dir[300];
        const struct log log = { .sink = keep_line, .context = line, .most = LOG_LEVEL_DEBUG };
        struct fd lock = FD_NONE;
        uint32_t first;

        memset(dir, 'x', sizeof(dir));
        memcpy(dir, "/proc/", 6);
        dir[246] = 0;
        ck_assert_int_eq(uid_lock(dir, 70000, 100, 1, &log, &lock, &first), -ENAMETOOLONG);
        ck_assert_str_eq(line,
                         "--run-dir=/proc/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: longer than 245 bytes: ENAMETOOLONG");
        dir[245] = 0;
        ck_assert_int_eq(uid_lock(dir, 70000, 100, 1, &log, &lock, &first), -ENOENT);
        ck_assert_ptr_nonnull(strstr(line, "xxx: cannot be made: "));
        ck_assert_int_eq(uid_lock("/dev/null", 70000, 100, 1, &log, &lock, &first), -ENOTDIR);
        ck_assert_str_eq(line, "/dev/null/uids.lock: ENOTDIR");
        ck_assert(!fd_has(&lock));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("slots");
        TCase *all = tcase_create("all");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(all, no_id_twice);
        tcase_add_test(all, one_id_for_all_if_there_is_no_other);
        tcase_add_test(all, brokers_get_disjoint_ids);
        tcase_add_test(all, no_place_for_a_lock);
        suite_add_tcase(suite, all);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
