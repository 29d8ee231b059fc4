/*
 * Rings of every size that the standard allows (virtio 1.3, 2.7 and 2.8): what the operator allows is what is taken,
 * and a ring of 32768 entries is served, resumed and refused like a small one.
 */
#include "rig.h"

#include "array.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>

static const char *const engines[] = { "uring", "sync" };

enum { LARGEST = VRING_SIZE_MAX, MANY = LARGEST / 3, SECTORS = RIG_DISK_BYTES / 512, CHAIN_MOST = 1024 };

static struct fe_device large_device(const struct rig *rig, uint32_t size, uint16_t base)
{
        return rig_device(rig, (struct fe_options){ .queues = 1, .queue_size = size, .base = base,
                                                    .mem_bytes = 128 << 20 });
}

START_TEST(extremes)
{
        static const uint32_t powers[] = { 1, 2, 2048, 16384, LARGEST };
        static const uint32_t others[] = { 1, 2, 3, 1025, 5000, LARGEST - 1, LARGEST };
        const uint32_t *sizes = rig_packed() ? others : powers;
        unsigned n = rig_packed() ? ARRAY_SIZE(others) : ARRAY_SIZE(powers);
        RIG_WITH(rig, .engine = engines[_i], .set = { "device.queuesize=32768" });

        for (unsigned i = 0; i < n; i++) {
                struct fe_device device = large_device(&rig, sizes[i], 65530);
                struct drv_blk blk = rig_blk(&device, 0);

                blk.how = DRV_INDIRECT; /* a ring of one entry holds a request then */
                for (unsigned k = 0; k < 50; k++)
                        rig_read_one(&rig, &blk);
                drv_blk_done(&blk);
                OK(fe_device_stop(&device));
                rig_await_idle(&rig);
        }
}
END_TEST

static void read_many(struct drv_blk *blk)
{
        for (unsigned i = 0; i < MANY; i++)
                OK(drv_blk_submit(blk, &blk->slot[i], VIRTIO_BLK_T_IN, i * 7 % SECTORS, 512));
        drv_kick(blk->vring);
}

/* Each of them once, each with its own sector. */
static void take_many(struct drv_blk *blk)
{
        struct drv_blk_req *req;
        uint8_t want[512];

        for (unsigned i = 0; i < MANY; i++) {
                OK(drv_wait(blk->vring, fe_deadline(FE_TIMEOUT_MS)));
                ck_assert_int_eq(drv_blk_reap(blk, &req), 1);
                ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
                rig_pattern(req->sector * 512, want, sizeof(want));
                ck_assert_mem_eq(req->data.at, want, sizeof(want));
        }
        ck_assert(!blk->vring->format->pending(blk->vring));
}

/* Ten times as many requests in one kick as are taken at a time; again over the end of the ring. */
START_TEST(filled)
{
        RIG_WITH(rig, .engine = engines[_i], .set = { "device.queuesize=32768" });
        struct fe_device device = large_device(&rig, LARGEST, 65530);
        struct drv_blk blk;

        OK(drv_blk_init(&blk, device.vring[0], 0, MANY, 512));
        for (unsigned round = 0; round < 2; round++) {
                read_many(&blk);
                take_many(&blk);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* The worker dies with a full ring; the in-flight area is as large as that. */
START_TEST(killed_while_filled)
{
        RIG_WITH(rig, .engine = engines[_i], .set = { "device.queuesize=32768" });
        struct fe_device device = large_device(&rig, LARGEST, 0);
        struct drv_blk blk;

        ck_assert_uint_eq(device.inflight.size, vu_inflight_bytes(LARGEST, rig_packed()));
        OK(drv_blk_init(&blk, device.vring[0], 0, MANY, 512));
        read_many(&blk);
        OK(prog_kill(rig_child(&rig, "vhost-worker"), FE_TIMEOUT_MS));
        OK(fe_gone(&device.conn));
        OK(fe_device_reconnect(&device, rig.socket));
        take_many(&blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

static void refuses(const char *set, const uint32_t *bad, unsigned n_bad, uint32_t good)
{
        RIG_WITH(rig, .set = { set });
        struct fe_conn conn = rig_connect(&rig);
        struct vu_inflight area;
        AUTO_FD fd = FD_NONE;

        OK(fe_set_features(&conn, VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) |
                                          (rig_packed() ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0)));
        for (unsigned i = 0; i < n_bad; i++) {
                FAILS(-EREMOTEIO, fe_set_vring_num(&conn, 0, bad[i]));
                if (bad[i] > good && bad[i] <= UINT16_MAX)
                        ck_assert_int_ne(fe_get_inflight_fd(&conn, 1, (uint16_t) bad[i], &area, &fd), 0);
        }
        OK(fe_set_vring_num(&conn, 0, good));
        OK(fe_get_inflight_fd(&conn, 1, (uint16_t) good, &area, &fd));
        rig_quiet(&conn);
        fe_close(&conn);
}

START_TEST(no_larger_than_allowed)
{
        static const uint32_t by_default[] = { 0, 1025, 2048, 32768, 65536, UINT32_MAX };
        static const uint32_t small[] = { 0, 65, 128, 1024 }, all[] = { 0, 32769, 65535, 65536, UINT32_MAX };

        refuses(NULL, by_default, ARRAY_SIZE(by_default), 1024);
        refuses("device.queuesize=64", small, ARRAY_SIZE(small), 64);
        refuses("device.queuesize=32768", all, ARRAY_SIZE(all), 32768);
}
END_TEST

static void chain_split(struct drv_vring *v, unsigned n, uint64_t gpa)
{
        struct drv_split *s = drv_split_of(v);

        for (unsigned i = 0; i < n; i++)
                s->desc[i] = (struct vring_desc){ htole64(gpa), htole32(1),
                                                  htole16(i + 1 < n ? VRING_DESC_F_NEXT : 0), htole16((uint16_t) (i + 1)) };
        drv_split_show(s, 0);
}

static void chain_packed(struct drv_vring *v, unsigned n, uint64_t gpa)
{
        struct vring_packed_desc *d = drv_packed_of(v)->desc;

        for (unsigned i = n; i-- > 0;)
                d[i] = (struct vring_packed_desc){ htole64(gpa), htole32(1), htole16(1),
                                                   htole16(VRING_PACKED_DESC_F_AVAIL |
                                                           (i + 1 < n ? VRING_DESC_F_NEXT : 0)) };
}

/* A ring may be longer than a chain may be, and its guest may overdo it. */
START_TEST(longer_than_a_chain_may_be)
{
        RIG_WITH(rig, .set = { "device.queuesize=32768" });
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2, .queue_size = LARGEST });
        struct drv_blk well = rig_blk(&device, 1);
        struct drv_vring *v = device.vring[0];
        struct fe_buf data;

        OK(fe_mem_alloc(device.mem, 0, 4096, 4096, &data));
        (rig_packed() ? chain_packed : chain_split)(v, _i ? LARGEST : CHAIN_MOST + 1, data.gpa);
        drv_kick_anyway(v);
        OK(fe_poll(v->err.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        for (unsigned i = 0; i < 10; i++)
                rig_read_one(&rig, &well);
        drv_blk_done(&well);
        fe_device_drop(&device);
        rig_check_alive(&rig);
}
END_TEST

static void forge_split(void *part)
{
        struct vu_inflight_split *head = part;
        struct vu_inflight_split_desc *desc = (void *) (head + 1);

        for (unsigned i = 0; i < LARGEST; i++)
                desc[i] = (struct vu_inflight_split_desc){ .inflight = 1, .counter = LARGEST - i };
}

/* One chain of all entries. */
static void forge_packed(void *part)
{
        struct vu_inflight_packed *head = part;
        struct vu_inflight_packed_desc *desc = (void *) (head + 1);

        for (unsigned i = 0; i < LARGEST; i++)
                desc[i].next = (uint16_t) (i + 1);
        desc[0].inflight = 1;
        desc[0].num = LARGEST;
        desc[0].last = LARGEST - 1;
        head->free_head = head->old_free_head = LARGEST;
}

/* An in-flight area that claims more than was ever taken: its ring alone is the loser. */
START_TEST(forged_area)
{
        RIG_WITH(rig, .set = { "device.queuesize=32768" });
        struct fe_device device = large_device(&rig, LARGEST, 0);
        uint32_t base;
        void *area;

        OK(fe_get_vring_base(&device.conn, 0, &base));
        area = mmap(NULL, device.inflight.size, PROT_READ | PROT_WRITE, MAP_SHARED, device.inflight_fd.num, 0);
        ck_assert_ptr_ne(area, MAP_FAILED);
        (rig_packed() ? forge_packed : forge_split)(area);
        munmap(area, device.inflight.size);
        OK(fe_set_inflight_fd(&device.conn, &device.inflight, device.inflight_fd.num));
        OK(fe_device_start_vring(&device, 0, base));
        OK(fe_set_vring_enable(&device.conn, 0, true));
        OK(fe_poll(device.vring[0]->err.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        rig_quiet(&device.conn);
        fe_device_drop(&device);
        rig_check_alive(&rig);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("sizes");
        TCase *c = tcase_create("sizes");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, extremes, 0, 2);
        tcase_add_loop_test(c, filled, 0, 2);
        tcase_add_loop_test(c, killed_while_filled, 0, 2);
        tcase_add_test(c, no_larger_than_allowed);
        tcase_add_loop_test(c, longer_than_a_chain_may_be, 0, 2);
        tcase_add_test(c, forged_area);
        suite_add_tcase(s, c);
        return rig_main(s);
}
