/*
 * Memory regions: sizes, wraps, overlaps, files, slots; a table that fails leaves the old one.
 */
#include "rig.h"

#include "array.h"
#include "memory.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOP UINT64_MAX

START_TEST(checks_sizes_and_wraps)
{
        static const struct {
                struct vu_region region;
                int error;
        } cases[] = {
                { { .gpa = 0, .size = 0x1000, .uva = 0x1000, .offset = 0 }, 0 },
                { { .gpa = 0, .size = 0, .uva = 0x1000, .offset = 0 }, -EINVAL },
                { { .gpa = TOP, .size = 1, .uva = 0, .offset = 0 }, -EOVERFLOW },
                { { .gpa = TOP - 0xfff, .size = 0x1000, .uva = 0, .offset = 0 }, -EOVERFLOW },
                { { .gpa = TOP - 0x1000, .size = 0x1000, .uva = 0, .offset = 0 }, 0 },
                { { .gpa = 0, .size = 0x1000, .uva = TOP - 0xffe, .offset = 0 }, -EOVERFLOW },
                { { .gpa = 0, .size = 0x1000, .uva = 0, .offset = TOP - 0x10 }, -EOVERFLOW },
                { { .gpa = 0, .size = 0x1000, .uva = 0, .offset = INT64_MAX }, -EOVERFLOW },
                { { .gpa = 0, .size = TOP, .uva = 1, .offset = 0 }, -EOVERFLOW },
                { { .gpa = 1, .size = TOP, .uva = 0, .offset = 0 }, -EOVERFLOW },
                { { .gpa = 0, .size = UINT64_C(1) << 63, .uva = 0, .offset = 0 }, -EOVERFLOW },
        };

        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
                ck_assert_int_eq(memory_check_region(&cases[i].region), cases[i].error);
}
END_TEST

START_TEST(finds_overlaps_in_either_space)
{
        static const struct ipc_region have = { .gpa = 0x10000, .uva = 0x500000, .size = 0x4000 };
        static const struct {
                uint64_t gpa, uva, size;
                bool overlap;
        } cases[] = {
                { 0x10000, 0x900000, 0x4000, true },  { 0x13fff, 0x900000, 1, true },
                { 0x14000, 0x900000, 1, false },      { 0x0f000, 0x900000, 0x1000, false },
                { 0x0f000, 0x900000, 0x1001, true },  { 0, 0x900000, 0x100000, true },
                { 0x20000, 0x500000, 1, true },       { 0x20000, 0x504000, 1, false },
                { 0x20000, 0x4fffff, 1, false },      { 0x20000, 0x4fffff, 2, true },
                { 0x20000, 0, TOP - 0x30000, true },  { 0x11000, 0x501000, 0x10, true },
        };

        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
                struct vu_region region = { .gpa = cases[i].gpa, .uva = cases[i].uva, .size = cases[i].size };

                ck_assert_int_eq(memory_overlap(&have, &region), cases[i].overlap);
        }
}
END_TEST

START_TEST(looks_at_the_file)
{
        struct vu_region region = { .size = 0x2000, .offset = 0x1000 };
        int enough = rig_file(0x3000), little = rig_file(0x2fff), pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        ck_assert_int_eq(memory_check_file(enough, &region), 0);
        ck_assert_int_eq(memory_check_file(little, &region), -ERANGE);
        ck_assert_int_eq(memory_check_file(pair[0], &region), -EINVAL);
        ck_assert_int_eq(memory_check_file(-1, &region), -EBADF);
        close(enough);
        close(little);
        close(pair[0]);
        close(pair[1]);
}
END_TEST

static uint64_t ask_table(struct rig *rig, const struct vu_mem_table *table, uint32_t size, unsigned n_fds)
{
        int fds[VU_FDS_ROOM] = { 0 };
        uint64_t result;

        for (unsigned i = 0; i < n_fds; i++)
                fds[i] = rig_file(0x10000);
        result = rig_ask(rig, VU_SET_MEM_TABLE, table, size, fds, n_fds);
        for (unsigned i = 0; i < n_fds; i++)
                close(fds[i]);
        return result;
}

START_TEST(takes_a_table_whole_or_not_at_all)
{
        struct vu_mem_table two = { .n = 2, .region = { { .gpa = 0, .size = 0x8000, .uva = 0x10000 },
                                                        { .gpa = 0x8000, .size = 0x8000, .uva = 0x20000 } } };
        struct vu_mem_table bad;
        const struct ledger *ledger;
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        ledger = &rig.s->ledger;
        ck_assert_uint_eq(ask_table(&rig, &two, 72, 2), 0);
        ck_assert_uint_eq(ledger->n_slots, 2);
        ck_assert_uint_eq(((const struct ipc_mem_table *) rig_got(&rig, IPC_MEM_TABLE))->n, 2);
        ck_assert_uint_eq(rig.seen[rig.n_seen - 1].n_fds, 2);
        rig_forget(&rig);

        bad = two;
        bad.region[1].gpa = 0x7fff;
        ck_assert_uint_eq(ask_table(&rig, &bad, 72, 2), 1);
        ck_assert(rig_logged(&rig, "SET_MEM_TABLE: gpa 0x7fff+0x8000 overlaps slot 0: EEXIST"));
        bad = two;
        bad.region[1].uva = 0x10000;
        ck_assert_uint_eq(ask_table(&rig, &bad, 72, 2), 1);
        bad = two;
        bad.region[0].size = 0x10001; /* longer than its file */
        bad.region[1].gpa = 0x100000;
        bad.region[1].uva = 0x100000;
        ck_assert_uint_eq(ask_table(&rig, &bad, 72, 2), 1);
        bad = two;
        bad.n = 0;
        ck_assert_uint_eq(ask_table(&rig, &bad, 72, 2), 1);
        bad.n = 9;
        ck_assert_uint_eq(ask_table(&rig, &bad, 264, 8), 1);
        bad.n = UINT32_MAX;
        ck_assert_uint_eq(ask_table(&rig, &bad, 264, 8), 1);
        bad.n = 3; /* more than the payload holds */
        ck_assert_uint_eq(ask_table(&rig, &bad, 72, 3), 1);
        ck_assert_uint_eq(ask_table(&rig, &two, 72, 1), 1);
        ck_assert_uint_eq(ask_table(&rig, &two, 72, 3), 1);
        ck_assert_uint_eq(ask_table(&rig, &two, 72, 0), 1);
        ck_assert_uint_eq(rig.n_seen, 0);

        rig.refuse = -ENOMEM; /* now the worker */
        ck_assert_uint_eq(ask_table(&rig, &two, 72, 2), 1);
        ck_assert_uint_eq(ledger->n_slots, 2);
        ck_assert_uint_eq(ledger->region[1].at.gpa, 0x8000);
        ck_assert(rig_logged(&rig, "SET_MEM_TABLE: refused by the worker (MEM_TABLE): ENOMEM"));
        rig_done(&rig);
}
END_TEST

START_TEST(tolerates_a_long_table)
{
        struct vu_mem_table one = { .n = 1, .region = { { .size = 0x8000, .uva = 0x10000 } } };
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        ck_assert_uint_eq(ask_table(&rig, &one, 72, 1), 0); /* User-Mode Linux */
        ck_assert_uint_eq(rig.s->ledger.n_slots, 1);
        rig_done(&rig);
}
END_TEST

static uint64_t ask_region(struct rig *rig, uint32_t request, uint64_t gpa, uint64_t size, uint64_t uva, unsigned n_fds)
{
        struct vu_mem_reg one = { .region = { .gpa = gpa, .size = size, .uva = uva } };
        int fd = rig_file(0x10000);
        uint64_t result = rig_ask(rig, request, &one, sizeof(one), &fd, n_fds);

        close(fd);
        return result;
}

START_TEST(adds_and_removes_regions)
{
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_MAX_MEM_SLOTS), 509);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, 0, 0x1000, 0x100000, 0), 1);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, 0, 0x1000, 0x100000, 1), 0);
        ck_assert_uint_eq(((const struct ipc_region_add *) rig_got(&rig, IPC_REGION_ADD))->slot, 0);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, 0x2000, 0x1000, 0x102000, 1), 0);
        ck_assert_uint_eq(((const struct ipc_region_add *) rig_got(&rig, IPC_REGION_ADD))->slot, 1);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, 0x2fff, 0x1000, 0x202000, 1), 1);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, 0x9000, 0x10001, 0x900000, 1), 1);

        ck_assert_uint_eq(ask_region(&rig, VU_REM_MEM_REG, 0, 0x1000, 0x100001, 0), 1);
        ck_assert_uint_eq(ask_region(&rig, VU_REM_MEM_REG, 0, 0x1001, 0x100000, 0), 1);
        ck_assert_uint_eq(ask_region(&rig, VU_REM_MEM_REG, 1, 0x1000, 0x100000, 0), 1);
        ck_assert_uint_eq(ask_region(&rig, VU_REM_MEM_REG, 0, 0x1000, 0x100000, 1), 0);
        ck_assert_uint_eq(((const struct ipc_region_del *) rig_got(&rig, IPC_REGION_DEL))->slot, 0);
        ck_assert_uint_eq(ask_region(&rig, VU_REM_MEM_REG, 0, 0x1000, 0x100000, 0), 1);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, 0, 0x3000, 0x200000, 1), 1); /* over slot 1 */
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, 0, 0x2000, 0x200000, 1), 0); /* the slot again */
        ck_assert_uint_eq(((const struct ipc_region_add *) rig_got(&rig, IPC_REGION_ADD))->slot, 0);
        rig_done(&rig);
}
END_TEST

START_TEST(fills_all_slots_and_no_more)
{
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        for (uint64_t i = 0; i < VU_MEM_SLOTS; i++)
                ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, i << 12, 0x1000, (i << 12) + 0x100000, 1), 0);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, UINT64_C(1) << 40, 0x1000, UINT64_C(1) << 40, 1), 1);
        ck_assert_uint_eq(ask_region(&rig, VU_REM_MEM_REG, 5 << 12, 0x1000, (5 << 12) + 0x100000, 0), 0);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, UINT64_C(1) << 40, 0x1000, UINT64_C(1) << 40, 1), 0);
        ck_assert_uint_eq(((const struct ipc_region_add *) rig_got(&rig, IPC_REGION_ADD))->slot, 5);
        rig_done(&rig);
}
END_TEST

START_TEST(limits_the_total)
{
        struct vu_mem_reg one = { .region = { .size = RIG_MEMORY_MOST - 0x1000, .uva = 0x1000 } };
        int fd = rig_file(RIG_MEMORY_MOST);
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        ck_assert_uint_eq(rig_ask(&rig, VU_ADD_MEM_REG, &one, sizeof(one), &fd, 1), 0);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, UINT64_C(1) << 60, 0x1001, UINT64_C(1) << 60, 1), 1);
        ck_assert_uint_eq(ask_region(&rig, VU_ADD_MEM_REG, UINT64_C(1) << 60, 0x1000, UINT64_C(1) << 60, 1), 0);
        rig_done(&rig);
        close(fd);
}
END_TEST

START_TEST(breaks_vrings_whose_memory_goes)
{
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_memory(&rig);
        rig_start(&rig, 0);
        rig_start(&rig, 1);
        ck_assert_uint_eq(ask_region(&rig, VU_REM_MEM_REG, 0, RIG_MEMORY, RIG_UVA, 0), 0);
        ck_assert_int_eq(rig.s->ledger.vring[0].state, VRING_BROKEN);
        ck_assert_int_eq(rig.s->ledger.vring[1].state, VRING_BROKEN);
        ck_assert_int_eq(rig.s->ledger.vring[2].state, VRING_STOPPED);
        rig_done(&rig);
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = {
                &checks_sizes_and_wraps,         &finds_overlaps_in_either_space, &looks_at_the_file,
                &takes_a_table_whole_or_not_at_all, &tolerates_a_long_table,      &adds_and_removes_regions,
                &fills_all_slots_and_no_more,    &limits_the_total,               &breaks_vrings_whose_memory_goes,
        };

        return rig_main("memory", tests, ARRAY_SIZE(tests));
}
