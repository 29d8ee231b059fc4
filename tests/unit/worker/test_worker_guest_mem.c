/*
 * Guest memory: what is refused, what is found, what is shared between maps.
 */
#include "guest_mem.h"

#include "array.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, FILE_PAGES = 64 };

static int memory(void)
{
        int fd = memfd_create("guest", MFD_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, FILE_PAGES * PAGE), 0);
        return fd;
}

static struct guest_mem empty(void)
{
        struct guest_mem mem;

        ck_assert_int_eq(guest_mem_init(&mem), 0);
        return mem;
}

START_TEST(wrong_regions_are_refused)
{
        static const struct {
                uint32_t slot;
                struct ipc_region region;
                int error;
        } cases[] = {
                { 0, { 0, 0, 0, 0 }, -EINVAL },
                { 0, { UINT64_MAX - 10, 0, PAGE, 0 }, -EINVAL },
                { 0, { 0, UINT64_MAX - 10, PAGE, 0 }, -EINVAL },
                { 0, { 0, 0, PAGE, UINT64_MAX - 10 }, -EINVAL },
                { 0, { 0, 0, UINT64_MAX, 0 }, -EEXIST },
                { 0, { 0, 0, FILE_PAGES * PAGE + 1, 0 }, -EINVAL },
                { 0, { 0, 0, PAGE, FILE_PAGES * PAGE - PAGE + 1 }, -EINVAL },
                { VU_MEM_SLOTS, { 0, 0, PAGE, 0 }, -ENOSPC },
                { 1, { 0x100000, 0x900000, PAGE, 0 }, -EEXIST },                  /* the slot */
                { 0, { 0x100fff, 0x900000, 1, 0 }, -EEXIST },                     /* its last byte */
                { 0, { 0xff001, 0x900000, PAGE, 0 }, -EEXIST },                   /* its first byte */
                { 0, { 0x800000, 0x200fff, PAGE, 0 }, -EEXIST },                  /* by user address */
                { 0, { 0, 0x900000, 0x200000, 0 }, -EEXIST },                     /* all around it */
                { 0, { 0x101000, 0x201000, PAGE, 0 }, 0 },                        /* right behind it */
        };
        struct guest_mem mem = empty();
        int fd = memory();
        struct ipc_region there = { 0x100000, 0x200000, PAGE, 0 };

        ck_assert_int_eq(guest_mem_add(&mem, 1, &there, fd), 0);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                ck_assert_int_eq(guest_mem_add(&mem, cases[i].slot, &cases[i].region, fd), cases[i].error);
        ck_assert_uint_eq(mem.n, 2);
        guest_mem_done(&mem);
        close(fd);
}
END_TEST

START_TEST(only_regular_files_are_mapped)
{
        struct ipc_region region = { 0, 0, PAGE, 0 };
        struct guest_mem mem = empty();
        int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), pipes[2];

        ck_assert_int_eq(pipe(pipes), 0);
        ck_assert_int_eq(guest_mem_add(&mem, 0, &region, zero), -EINVAL);
        ck_assert_int_eq(guest_mem_add(&mem, 0, &region, pipes[0]), -EINVAL);
        ck_assert_int_eq(guest_mem_add(&mem, 0, &region, -1), -EBADF);
        close(zero);
        close(pipes[0]);
        close(pipes[1]);
        guest_mem_done(&mem);
}
END_TEST

/* 509 regions, added in no order: each address finds its own. */
START_TEST(many_regions_are_found)
{
        struct guest_mem mem = empty();
        int fd = memory();
        struct span span;

        for (uint32_t i = 0; i < VU_MEM_SLOTS; i++) {
                uint32_t slot = i * 101 % VU_MEM_SLOTS; /* 509 is prime */
                struct ipc_region region = { slot * UINT64_C(0x10000), 0x7000000000 + slot * UINT64_C(0x10000), PAGE,
                                             slot % FILE_PAGES * PAGE };

                ck_assert_int_eq(guest_mem_add(&mem, slot, &region, fd), 0);
        }
        for (uint32_t slot = 0; slot < VU_MEM_SLOTS; slot++) {
                uint64_t at = slot * UINT64_C(0x10000);

                ck_assert_int_eq(guest_span(&mem, (struct gpa){ at }, PAGE, &span), 0);
                memset((void *) span.at, (int) (slot % FILE_PAGES), PAGE);
                ck_assert_int_eq(guest_span(&mem, (struct gpa){ at + 1 }, PAGE, &span), -EFAULT);
                ck_assert_int_eq(guest_span(&mem, (struct gpa){ at + PAGE }, 1, &span), -EFAULT);
                ck_assert_int_eq(guest_span(&mem, (struct gpa){ at }, UINT64_MAX, &span), -EFAULT);
                ck_assert_int_eq(guest_span_user(&mem, (struct uva){ 0x7000000000 + at + 16 }, 64, 16, &span), 0);
                ck_assert_int_eq(*(char *) span.at, (int) (slot % FILE_PAGES));
        }
        guest_mem_done(&mem);
        close(fd);
}
END_TEST

START_TEST(an_odd_offset_is_mapped_right)
{
        struct ipc_region region = { 0x1000, 0x1000, 2 * PAGE + 17, PAGE + 513 };
        struct guest_mem mem = empty();
        int fd = memory();
        struct span span;
        char byte = 'x';

        ck_assert_int_eq(pwrite(fd, &byte, 1, PAGE + 513), 1);
        ck_assert_int_eq(pwrite(fd, &byte, 1, PAGE + 513 + 2 * PAGE + 16), 1);
        ck_assert_int_eq(guest_mem_add(&mem, 0, &region, fd), 0);
        ck_assert_int_eq(guest_span(&mem, (struct gpa){ 0x1000 }, region.size, &span), 0);
        ck_assert_int_eq(*(char *) span.at, 'x');
        ck_assert_int_eq(((char *) span.at)[2 * PAGE + 16], 'x');
        ck_assert_int_eq(guest_span_user(&mem, (struct uva){ 0x1000 }, 16, 2, &span), -EINVAL);
        guest_mem_done(&mem);
        close(fd);
}
END_TEST

START_TEST(a_span_stops_at_the_border)
{
        struct ipc_region low = { 0, 0, PAGE, 0 }, high = { PAGE, 0x100000, PAGE, 8 * PAGE };
        struct guest_mem mem = empty();
        int fd = memory();
        char bytes[32], wanted[32];
        struct span span;

        ck_assert_int_eq(guest_mem_add(&mem, 0, &low, fd), 0);
        ck_assert_int_eq(guest_mem_add(&mem, 1, &high, fd), 0);
        ck_assert_int_eq(guest_span_part(&mem, (struct gpa){ PAGE - 10 }, 32, &span), 0);
        ck_assert_uint_eq(span.len, 10);
        memset((void *) span.at, 'l', 10);
        ck_assert_int_eq(guest_span_part(&mem, (struct gpa){ PAGE }, 22, &span), 0);
        ck_assert_uint_eq(span.len, 22);
        memset((void *) span.at, 'h', 22);
        ck_assert_int_eq(guest_read(&mem, (struct gpa){ PAGE - 10 }, bytes, sizeof(bytes)), 0);
        memset(wanted, 'l', 10);
        memset(wanted + 10, 'h', 22);
        ck_assert_mem_eq(bytes, wanted, sizeof(bytes));
        ck_assert_int_eq(guest_read(&mem, (struct gpa){ 2 * PAGE - 10 }, bytes, sizeof(bytes)), -EFAULT);
        guest_mem_done(&mem);
        close(fd);
}
END_TEST

START_TEST(the_same_region_keeps_its_mapping)
{
        struct ipc_mem_table table = { .n = 2, .region = { { 0, 0, PAGE, 0 }, { PAGE, PAGE, PAGE, PAGE } } };
        struct guest_mem mem = empty(), next;
        int fd = memory();
        struct fd fds[] = { { fd }, { fd }, { fd } };
        void *kept;

        ck_assert_int_eq(guest_mem_plan(&mem, &table, fds, &next), 0);
        ck_assert(!guest_mem_drops(&mem, &next));
        guest_mem_commit(&mem, &next);
        kept = mem.region[0].map;
        ck_assert_int_eq(guest_mem_plan(&mem, &table, fds, &next), 0);
        ck_assert(!guest_mem_drops(&mem, &next));
        guest_mem_commit(&mem, &next);
        ck_assert_ptr_eq(mem.region[0].map, kept);
        table.region[1].offset = 2 * PAGE;
        ck_assert_int_eq(guest_mem_plan(&mem, &table, fds, &next), 0);
        ck_assert(guest_mem_drops(&mem, &next));
        guest_mem_abandon(&mem, &next);
        *(volatile char *) mem.region[0].mapped = 1; /* still there */
        *(volatile char *) mem.region[1].mapped = 1;
        table.n = 3; /* the third is empty */
        ck_assert_int_eq(guest_mem_plan(&mem, &table, fds, &next), -EINVAL);
        *(volatile char *) mem.region[0].mapped = 1;
        ck_assert_int_eq(guest_mem_del(&mem, 1), 0);
        ck_assert_int_eq(guest_mem_del(&mem, 1), -ENOENT);
        ck_assert(guest_mem_has(&mem, 0) && !guest_mem_has(&mem, 1));
        guest_mem_done(&mem);
        close(fd);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: guest memory");
        TCase *tcase = tcase_create("guest_mem");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(tcase, wrong_regions_are_refused);
        tcase_add_test(tcase, only_regular_files_are_mapped);
        tcase_add_test(tcase, many_regions_are_found);
        tcase_add_test(tcase, an_odd_offset_is_mapped_right);
        tcase_add_test(tcase, a_span_stops_at_the_border);
        tcase_add_test(tcase, the_same_region_keeps_its_mapping);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
