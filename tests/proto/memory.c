/*
 * The guest's memory: tables, single regions, changes under running rings (protocol facts, 5.1 and 5.2).
 */
#include "rig.h"

#include "array.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct fd make_file(uint64_t bytes)
{
        struct fd fd = { memfd_create("memory", MFD_CLOEXEC) };

        ck_assert(fd.num >= 0 && !ftruncate(fd.num, (off_t) bytes));
        return fd;
}

/* User-Mode Linux sends 72 bytes with one region. */
START_TEST(long_table)
{
        struct vu_mem_table table = {
                .n = 1, .region[0] = {0, 1 << 20, 1 << 30, 0}
        };
        AUTO_FD fd = make_file(1 << 20);
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        memset(&table.region[1], 0xff, sizeof(table.region[1]));
        OK(fe_tell(&conn, VU_SET_MEM_TABLE, &table, 72, &fd.num, 1));
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

START_TEST(full_table_of_one_file)
{
        struct vu_region regions[VU_TABLE_REGIONS_MAX];
        int fds[VU_TABLE_REGIONS_MAX];
        AUTO_FD fd = make_file(8 << 20);
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < VU_TABLE_REGIONS_MAX; i++) {
                regions[i] = (struct vu_region){ (uint64_t) i << 32, 1 << 20, (uint64_t) (9 - i) << 36, i << 20 };
                fds[i] = fd.num;
        }
        OK(fe_set_mem_table(&conn, regions, fds, VU_TABLE_REGIONS_MAX));
        OK(fe_set_mem_table(&conn, regions, fds, VU_TABLE_REGIONS_MAX)); /* QEMU does repeat itself */
        fe_close(&conn);
}
END_TEST

#define TOP UINT64_MAX

static const struct {
        const char *what;
        unsigned n;
        struct vu_region region[2];
} bad_tables[] = {
        {"empty region",                   1, { { 0, 0, 0, 0 } }                                },
        { "gpa wraps",                     1, { { TOP - 4095, 8192, 0, 0 } }                    },
        { "uva wraps",                     1, { { 0, 8192, TOP - 4095, 0 } }                    },
        { "offset wraps",                  1, { { 0, 8192, 0, TOP - 4095 } }                    },
        { "all wraps",                     1, { { TOP, TOP, TOP, TOP } }                        },
        { "size alone wraps once rounded", 1, { { 0, TOP - 100, 0, 0 } }                        },
        { "beyond the file",               1, { { 0, (1 << 20) + 1, 0, 0 } }                    },
        { "offset beyond the file",        1, { { 0, 4096, 0, 1 << 20 } }                       },
        { "gpa overlap",                   2, { { 0, 8192, 0, 0 }, { 8191, 4096, 1 << 20, 0 } } },
        { "gpa inside",                    2, { { 0, 65536, 0, 0 }, { 4096, 4096, 1 << 20, 0 } }},
        { "gpa equal",                     2, { { 0, 4096, 0, 0 }, { 0, 4096, 1 << 20, 0 } }    },
        { "uva overlap",                   2, { { 0, 8192, 0, 0 }, { 1 << 20, 4096, 4096, 0 } } },
};

/* Refused as a whole; what was there before goes on serving. */
START_TEST(bad_table)
{
        AUTO_FD fd = make_file(1 << 20);
        const int fds[2] = { fd.num, fd.num };
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .mem_table = true });
        struct drv_blk blk = rig_blk(&device, 0);
        int r;

        for (unsigned i = 0; i < ARRAY_SIZE(bad_tables); i++) {
                r = fe_set_mem_table(&device.conn, bad_tables[i].region, fds, bad_tables[i].n);
                ck_assert_msg(r == -EREMOTEIO, "%s: %s", bad_tables[i].what, log_errno(r));
                rig_read_one(&rig, &blk);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(bad_counts)
{
        static const uint32_t counts[] = { 9, 32, 509, 1u << 27, UINT32_MAX };
        char payload[8 + 32 * 33] = { 0 };
        AUTO_FD fd = make_file(1 << 20);
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
                memcpy(payload, &counts[i], 4);
                FAILS(-EREMOTEIO, fe_tell(&conn, VU_SET_MEM_TABLE, payload, 40, &fd.num, 1));
                FAILS(-EREMOTEIO, fe_tell(&conn, VU_SET_MEM_TABLE, payload, sizeof(payload), &fd.num, 1));
        }
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

START_TEST(bad_regions)
{
        AUTO_FD fd = make_file(1 << 20);
        const struct vu_region good = { 1 << 20, 1 << 20, 1 << 30, 0 };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < ARRAY_SIZE(bad_tables); i++)
                if (bad_tables[i].n == 1)
                        FAILS(-EREMOTEIO, fe_add_mem_reg(&conn, &bad_tables[i].region[0], fd.num));
        OK(fe_add_mem_reg(&conn, &good, fd.num));
        FAILS(-EREMOTEIO, fe_add_mem_reg(&conn, &good, fd.num));
        FAILS(-EREMOTEIO, fe_rem_mem_reg(&conn, &(struct vu_region){ 0, 1 << 20, 1 << 30, 0 }));
        FAILS(-EREMOTEIO, fe_rem_mem_reg(&conn, &(struct vu_region){ 1 << 20, 4096, 1 << 30, 0 }));
        FAILS(-EREMOTEIO, fe_rem_mem_reg(&conn, &(struct vu_region){ 1 << 20, 1 << 20, 1 << 29, 0 }));
        OK(fe_rem_mem_reg(&conn, &(struct vu_region){ 1 << 20, 1 << 20, 1 << 30, 0x1000 })); /* offset: ignored */
        FAILS(-EREMOTEIO, fe_rem_mem_reg(&conn, &good));
        fe_close(&conn);
}
END_TEST

/* Not a file that can be mapped. */
START_TEST(bad_files)
{
        const struct vu_region region = { 1 << 20, 4096, 1 << 30, 0 };
        int pair[2];
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        FAILS(-EREMOTEIO, fe_add_mem_reg(&conn, &region, pair[0]));
        FAILS(-EREMOTEIO, fe_add_mem_reg(&conn, &region, conn.fd.num));
        rig_quiet(&conn);
        close(pair[0]);
        close(pair[1]);
        fe_close(&conn);
}
END_TEST

/* Old front-ends send a descriptor with REM_MEM_REG; it is closed. */
START_TEST(removal_with_a_descriptor)
{
        const struct vu_mem_reg message = {
                .region = {1 << 20, 1 << 20, 1 << 30, 0}
        };
        AUTO_FD fd = make_file(1 << 20);
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        OK(fe_add_mem_reg(&conn, &message.region, fd.num));
        OK(fe_tell(&conn, VU_REM_MEM_REG, &message, sizeof(message), &fd.num, 1));
        fe_close(&conn);
}
END_TEST

START_TEST(all_slots)
{
        AUTO_FD fd = make_file(4096);
        struct vu_region region = { 0, 4096, 0, 0 };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < VU_MEM_SLOTS; i++) {
                region.gpa = i * 8192;
                region.uva = (1ull << 40) + i * 4096;
                OK(fe_add_mem_reg(&conn, &region, fd.num));
        }
        region.gpa = 1ull << 50;
        region.uva = 1ull << 50;
        FAILS(-EREMOTEIO, fe_add_mem_reg(&conn, &region, fd.num));
        OK(fe_rem_mem_reg(&conn, &(struct vu_region){ 8192 * 100, 4096, (1ull << 40) + 4096 * 100, 0 }));
        OK(fe_add_mem_reg(&conn, &region, fd.num));
        fe_close(&conn);
}
END_TEST

/* Hot-plug and unplug while requests run in another region; the new one serves at once. */
START_TEST(changes_while_running)
{
        enum { DEPTH = 16 };
        RIG_WITH(rig, .engine = _i ? "sync" : "uring");
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk;
        struct drv_blk_req *req;
        struct vu_region region;
        struct fe_buf buf;
        unsigned index;

        OK(drv_blk_init(&blk, device.vring[0], 0, DEPTH, 4096));
        OK(fe_mem_add(device.mem, 1ull << 36, 1 << 20, 0, &index));
        region = device.mem->part[index].region;
        OK(fe_mem_alloc(device.mem, index, 4096, 4096, &buf));
        for (unsigned i = 0; i < 50; i++) {
                struct fe_buf home = blk.slot[0].data;

                for (unsigned k = 1; k < DEPTH; k++)
                        OK(drv_blk_submit(&blk, &blk.slot[k], VIRTIO_BLK_T_IN, k * 8, 4096));
                drv_kick(device.vring[0]);
                OK(fe_add_mem_reg(&device.conn, &region, device.mem->part[index].fd.num));
                blk.slot[0].data = buf;
                OK(drv_blk_submit(&blk, &blk.slot[0], VIRTIO_BLK_T_IN, i, 4096));
                drv_kick(device.vring[0]);
                for (unsigned k = 0; k < DEPTH; k++) {
                        OK(drv_wait(device.vring[0], fe_deadline(FE_TIMEOUT_MS)));
                        ck_assert_int_eq(drv_blk_reap(&blk, &req), 1);
                        ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
                }
                blk.slot[0].data = home;
                OK(fe_rem_mem_reg(&device.conn, &region));
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* The whole table anew under a running ring: other user addresses, the same guest addresses. */
START_TEST(table_while_running)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .mem_table = true, .two_regions = true });
        struct drv_blk blk = rig_blk(&device, 0);

        for (unsigned i = 0; i < 20; i++) {
                OK(fe_device_send_memory(&device));
                rig_read_one(&rig, &blk);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* The ring's own memory goes: the ring breaks and says so on its err fd, the connection stays. */
START_TEST(removal_under_a_ring)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });

        OK(fe_rem_mem_reg(&device.conn, &device.mem->part[0].region));
        OK(fe_poll(device.vring[0]->err.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        rig_quiet(&device.conn);
        fe_device_drop(&device);
        rig_check_alive(&rig);
}
END_TEST

START_TEST(ring_outside_memory)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct vu_vring_addr addr = fe_device_vring_addr(&device, 0);
        struct fe_conn *conn = &device.conn;
        uint64_t end = device.mem->part[0].region.uva + device.mem->part[0].region.size;
        uint32_t base;
        int r;

        for (unsigned i = 0; i < 3; i++) {
                struct vu_vring_addr bad = addr;

                *(i == 0 ? &bad.desc : i == 1 ? &bad.avail : &bad.used) =
                        end - (i && rig_packed() ? 0 : 64); /* begins inside if it can, ends outside */
                OK(fe_get_vring_base(conn, 0, &base));
                r = fe_set_vring_addr(conn, &bad);
                if (!r) /* resolved at the start of the ring then */
                        r = fe_set_vring_fd(conn, VU_SET_VRING_KICK, 0, device.vring[0]->kick.num);
                ck_assert_int_eq(r, -EREMOTEIO);
        }
        fe_device_drop(&device);
        rig_check_alive(&rig);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("memory");
        TCase *c = tcase_create("memory");

        tcase_set_timeout(c, 60);
        tcase_add_test(c, long_table);
        tcase_add_test(c, full_table_of_one_file);
        tcase_add_test(c, bad_table);
        tcase_add_test(c, bad_counts);
        tcase_add_test(c, bad_regions);
        tcase_add_test(c, bad_files);
        tcase_add_test(c, removal_with_a_descriptor);
        tcase_add_test(c, all_slots);
        tcase_add_loop_test(c, changes_while_running, 0, 2);
        tcase_add_test(c, table_while_running);
        tcase_add_test(c, removal_under_a_ring);
        tcase_add_test(c, ring_outside_memory);
        suite_add_tcase(s, c);
        return rig_main(s);
}
