/*
 * The destination of a migration by post-copy, played by the test (protocol facts, 5.3): rings and data are not there
 * when the device starts, and come when its worker misses them.
 */
#include "fe_postcopy.h"
#include "rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REQUESTS = 16, BYTES = 16 << 10, SIZE = 64, SKIPPED = 77 };

#define POSTCOPY .set = { "device.postcopy=yes" }

static struct fe_device connect_to(const struct rig *rig, bool mem_table)
{
        struct fe_device d = { .inflight_fd = FD_NONE };

        d.options = (struct fe_options){ .queues = 2, .queue_size = SIZE, .mem_bytes = 4 << 20, .mem_gpa = 1 << 20,
                                         .two_regions = true, .mem_table = mem_table,
                                         .protocol_features = ~UINT64_C(0) };
        d.options.features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) |
                             VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |
                             VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) |
                             (rig_packed() ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0);
        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &d.conn));
        d.mem = calloc(1, sizeof(*d.mem));
        ck_assert_ptr_nonnull(d.mem);
        OK(fe_device_negotiate(&d));
        return d;
}

static void make_parts(struct fe_device *d)
{
        OK(fe_device_memory(d));
        OK(fe_device_vrings(d));
        OK(fe_device_inflight(d));
}

static uint32_t fresh_base(void)
{
        return rig_packed() ? VRING_PACKED_BASE_FRESH : 0;
}

/* Where the rings began, without a look at them: they are not here. */
static void start(struct fe_device *d)
{
        for (unsigned i = 0; i < d->n; i++) {
                OK(fe_device_start_vring(d, i, fresh_base()));
                OK(fe_set_vring_enable(&d->conn, i, true));
        }
}

/* Reads into the first half of the disk, writes to the second. */
static uint64_t sector_of(unsigned i)
{
        return (i % 2 ? RIG_DISK_BYTES / 1024 : 0) + i * (BYTES / 512);
}

static void submit(struct drv_blk *blk)
{
        for (unsigned i = 0; i < REQUESTS; i++) {
                memset(blk->slot[i].data.at, (int) (i + 1), BYTES);
                OK(drv_blk_submit(blk, &blk->slot[i], i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, sector_of(i), BYTES));
        }
        drv_want_calls(blk->vring, true);
        drv_kick(blk->vring);
}

/* Every page of data is missed, and what leads there; only then may the driver look at its ring again. */
static void take(const struct rig *rig, struct fe_postcopy *postcopy, struct drv_blk *blk)
{
        uint8_t want[BYTES], disk[BYTES];
        struct drv_blk_req *req;

        OK(fe_postcopy_await(postcopy, REQUESTS * BYTES / 4096, FE_TIMEOUT_MS));
        OK(fe_postcopy_finish(postcopy));
        for (unsigned i = 0; i < REQUESTS; i++) {
                OK(drv_wait(blk->vring, fe_deadline(FE_TIMEOUT_MS)));
                ck_assert_int_eq(drv_blk_reap(blk, &req), 1);
                ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
        }
        for (unsigned i = 0; i < REQUESTS; i++) {
                memset(want, (int) (i + 1), BYTES);
                rig_read_disk(rig, sector_of(i) * 512, disk, BYTES);
                ck_assert_mem_eq(disk, i % 2 ? want : blk->slot[i].data.at, BYTES);
        }
}

START_TEST(pages_come_when_missed)
{
        RIG_WITH(rig, .engine = _i % 2 ? "sync" : "uring", POSTCOPY);
        const struct virtio_blk_range zeroed = { .sector = htole64(4096), .sectors = htole32(8) };
        struct fe_device d = connect_to(&rig, _i / 2);
        struct fe_postcopy postcopy;
        struct drv_blk blk, more;

        OK(fe_postcopy_advise(&d, &postcopy));
        make_parts(&d);
        OK(drv_blk_init(&blk, d.vring[0], 1, REQUESTS, BYTES));
        more = rig_blk(&d, 1);
        submit(&blk);
        OK(fe_postcopy_memory(&d, &postcopy));
        start(&d);
        take(&rig, &postcopy, &blk);
        OK(fe_postcopy_end(&d));
        fe_postcopy_done(&postcopy);
        for (unsigned i = 0; i < 10; i++)
                rig_read_one(&rig, &more);
        OK(drv_blk_ranges(&more, VIRTIO_BLK_T_WRITE_ZEROES, &zeroed, 1));
        OK(drv_blk_flush(&more));
        drv_blk_done(&blk);
        drv_blk_done(&more);
        OK(fe_device_stop(&d));
}
END_TEST

/* Requests wait in memory that is still elsewhere; the back-end knows of it and has no go-ahead yet. */
static void tell_memory(struct fe_device *d, struct fe_postcopy *postcopy, struct drv_blk *blk)
{
        OK(fe_postcopy_advise(d, postcopy));
        make_parts(d);
        OK(drv_blk_init(blk, d->vring[0], 1, REQUESTS, BYTES));
        submit(blk);
        OK(fe_postcopy_listen(d));
        OK(fe_postcopy_leave_behind(d, postcopy));
        OK(fe_postcopy_tell(d, postcopy));
}

/* Nothing may be touched before it is said that faults are served. */
START_TEST(not_before_the_go_ahead)
{
        RIG_WITH(rig, POSTCOPY);
        struct fe_device d = connect_to(&rig, _i);
        struct fe_postcopy postcopy;
        struct drv_blk blk;

        tell_memory(&d, &postcopy, &blk);
        FAILS(-EREMOTEIO, fe_device_start_vring(&d, 0, fresh_base()));
        FAILS(-EREMOTEIO, fe_postcopy_end(&d));
        OK(fe_postcopy_go_ahead(&d, &postcopy));
        start(&d);
        take(&rig, &postcopy, &blk);
        OK(fe_postcopy_end(&d));
        fe_postcopy_done(&postcopy);
        drv_blk_done(&blk);
        OK(fe_device_stop(&d));
}
END_TEST

static int ask(struct fe_device *d, uint32_t request, uint64_t value)
{
        return fe_tell(&d->conn, request, &value, sizeof(value), NULL, 0);
}

START_TEST(order)
{
        RIG_WITH(rig, POSTCOPY);
        struct fe_device d = connect_to(&rig, false);
        struct fe_postcopy postcopy, again;

        FAILS(-EREMOTEIO, fe_postcopy_listen(&d));
        FAILS(-EREMOTEIO, fe_postcopy_end(&d));
        FAILS(-EREMOTEIO, ask(&d, VU_SET_MEM_TABLE, 0));
        FAILS(-EREMOTEIO, ask(&d, VU_ADD_MEM_REG, 0));
        OK(fe_postcopy_advise(&d, &postcopy));
        FAILS(-EREMOTEIO, fe_postcopy_advise(&d, &again));
        OK(fe_device_memory(&d));
        OK(fe_device_send_memory(&d));
        FAILS(-EREMOTEIO, fe_postcopy_listen(&d)); /* there is memory already */
        for (unsigned i = 0; i < d.mem->n; i++)
                OK(fe_rem_mem_reg(&d.conn, &d.mem->part[i].region));
        OK(fe_postcopy_listen(&d));
        FAILS(-EREMOTEIO, fe_postcopy_listen(&d));
        FAILS(-EREMOTEIO, ask(&d, VU_SET_MEM_TABLE, 0)); /* no region waits */
        OK(fe_postcopy_tell(&d, &postcopy));
        FAILS(-EREMOTEIO, ask(&d, VU_SET_MEM_TABLE, 1));
        OK(ask(&d, VU_ADD_MEM_REG, 0)); /* with an ack for who asks */
        OK(fe_postcopy_end(&d));
        FAILS(-EREMOTEIO, fe_postcopy_end(&d));
        FAILS(-EREMOTEIO, fe_postcopy_advise(&d, &again));
        rig_quiet(&d.conn);
        fe_postcopy_done(&postcopy);
        fe_device_drop(&d);
}
END_TEST

/* It never brings the page: its worker waits in the kernel, and ends all the same when it leaves. */
START_TEST(a_front_end_that_brings_nothing)
{
        RIG_WITH(rig, .engine = _i % 2 ? "sync" : "uring", .neighbour = true, POSTCOPY);
        struct fe_device d = connect_to(&rig, false);
        const uint64_t fine = 0, first = 0;
        struct vu_vring_addr addr;
        struct fe_postcopy postcopy;
        struct drv_blk blk;

        tell_memory(&d, &postcopy, &blk);
        OK(fe_send(&d.conn, VU_ADD_MEM_REG, &fine, sizeof(fine)));
        OK(fe_set_vring_num(&d.conn, 0, SIZE));
        addr = fe_device_vring_addr(&d, 0);
        OK(fe_set_vring_addr(&d.conn, &addr));
        OK(fe_send_flags(&d.conn, VU_SET_VRING_KICK, VU_VERSION, &first, sizeof(first), &d.vring[0]->kick.num, 1));
        OK(fe_poll(postcopy.userfault.num, POLLIN, fe_deadline(FE_TIMEOUT_MS))); /* it waits now */
        if (_i) { /* the userfaultfd outlives the connection */
                fe_close(&d.conn);
                rig_await_idle(&rig);
        }
        fe_postcopy_done(&postcopy);
        drv_blk_done(&blk);
        fe_device_drop(&d);
        rig_await_idle(&rig);
        rig_check_alive(&rig);
}
END_TEST

START_TEST(not_offered_unasked)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });

        ck_assert(!(device.protocol_offered & VIRTIO_BIT(VU_PF_PAGEFAULT)));
        OK(fe_device_stop(&device));
}
END_TEST

int main(void)
{
        Suite *s = suite_create("postcopy");
        TCase *c = tcase_create("postcopy");

        if (access("/dev/userfaultfd", R_OK | W_OK)) {
                puts("skipped: /dev/userfaultfd cannot be opened");
                return SKIPPED;
        }
        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, pages_come_when_missed, 0, 4);
        tcase_add_loop_test(c, not_before_the_go_ahead, 0, 2);
        tcase_add_test(c, order);
        tcase_add_loop_test(c, a_front_end_that_brings_nothing, 0, 2);
        tcase_add_test(c, not_offered_unasked);
        suite_add_tcase(s, c);
        return rig_main(s);
}
