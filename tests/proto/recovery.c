/*
 * What survives whom: workers killed under load, sessions killed and front-ends that come back with their in-flight
 * area, areas written by hand (protocol facts, 4.5 and 4.6).
 */
#include "rig.h"

#include <string.h>
#include <sys/mman.h>

static const char *const engines[] = { "uring", "sync" };

enum { DEPTH = 32, SPAN = (RIG_DISK_BYTES - 65536) / 512 };

static void submit_all(struct drv_blk *blk, unsigned round)
{
        for (unsigned i = 0; i < DEPTH; i++)
                OK(drv_blk_submit(blk, drv_blk_slot(blk), i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
                                  (round * 7919 + i * 128) % SPAN, 16 << 10));
        drv_kick(blk->vring);
}

/* Every request completes, each once, and well. */
static void take_all(struct drv_blk *blk)
{
        struct drv_blk_req *req;

        for (unsigned i = 0; i < DEPTH; i++) {
                OK(drv_wait(blk->vring, fe_deadline(FE_TIMEOUT_MS)));
                ck_assert_int_eq(drv_blk_reap(blk, &req), 1);
                ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
        }
        ck_assert(!blk->vring->format->pending(blk->vring));
}

/* The death of either ends the connection; the front-end comes back with its area and misses nothing. */
START_TEST(killed_under_load)
{
        RIG_WITH(rig, .engine = engines[_i % 2]);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk;

        OK(drv_blk_init(&blk, device.vring[0], 0, DEPTH, 16 << 10));
        for (unsigned round = 0; round < 3; round++) {
                submit_all(&blk, round);
                OK(prog_kill(rig_child(&rig, _i / 2 ? "vhost-worker" : "vhost-session"), FE_TIMEOUT_MS));
                OK(fe_gone(&device.conn));
                OK(fe_device_reconnect(&device, rig.socket));
                take_all(&blk);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* A new connection while the old one is open waits for its end. */
START_TEST(next_connection_waits)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct fe_conn next;

        rig_read_one(&rig, &blk);
        OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &next));
        OK(fe_send(&next, VU_GET_FEATURES, NULL, 0));
        rig_read_one(&rig, &blk);
        FAILS(-ETIMEDOUT, fe_poll(next.fd.num, 1, fe_now_ns()));
        drv_blk_done(&blk);
        fe_device_drop(&device);
        OK(fe_poll(next.fd.num, 1, fe_deadline(FE_TIMEOUT_MS)));
        fe_close(&next);
}
END_TEST

static void expect_writeback(struct fe_device *device, uint8_t expected)
{
        uint8_t byte;

        OK(fe_get_config(&device->conn, offsetof(struct virtio_blk_config, writeback), &byte, 1));
        ck_assert_uint_eq(byte, expected);
}

static void set_writeback(struct fe_device *device, uint8_t byte)
{
        OK(fe_set_config(&device->conn, offsetof(struct virtio_blk_config, writeback), &byte, 1, 0));
}

/* QEMU and cloud-hypervisor tell the cache mode once: who comes back with its area still has the one that it chose. */
START_TEST(cache_mode)
{
        static const uint8_t modes[] = { 0, 0, 1, 0 };
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk;

        OK(drv_blk_init(&blk, device.vring[0], 0, DEPTH, 16 << 10));
        for (unsigned round = 0; round < 4; round++) {
                if (round != 1) /* then it is what it was */
                        set_writeback(&device, modes[round]);
                submit_all(&blk, round);
                OK(prog_kill(rig_child(&rig, round & 1 ? "vhost-session" : "vhost-worker"), FE_TIMEOUT_MS));
                OK(fe_gone(&device.conn));
                OK(fe_device_reconnect(&device, rig.socket));
                expect_writeback(&device, modes[round]);
                take_all(&blk);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
        rig_await_idle(&rig);
        device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        expect_writeback(&device, 1); /* another driver, another area */
        OK(fe_device_stop(&device));
}
END_TEST

struct area {
        struct fe_device device;
        struct drv_blk blk;
        struct vu_inflight_split *head;
        struct vu_inflight_split_desc *desc;
};

/* A device with its ring stopped at once and its in-flight area mapped, before anything was served. */
static struct area area_open(const struct rig *rig)
{
        struct area a = { .device = rig_device(rig, (struct fe_options){ .queue_size = 64 }) };
        uint32_t base;

        OK(drv_blk_init(&a.blk, a.device.vring[0], 0, 8, 4096));
        OK(fe_get_vring_base(&a.device.conn, 0, &base));
        a.head = mmap(NULL, a.device.inflight.size, PROT_READ | PROT_WRITE, MAP_SHARED, a.device.inflight_fd.num, 0);
        ck_assert(a.head != MAP_FAILED);
        a.desc = (struct vu_inflight_split_desc *) (a.head + 1);
        fe_close(&a.device.conn);
        return a;
}

static void area_close(struct area *a)
{
        munmap(a->head, a->device.inflight.size);
        drv_blk_done(&a->blk);
        fe_device_drop(&a->device);
}

/* Puts n one-descriptor-head reads into the ring as if a guest had kicked them; returns the heads in `heads`. */
static void put_requests(struct area *a, unsigned n, uint16_t *heads)
{
        struct drv_split *ring = drv_split_of(a->device.vring[0]);

        a->blk.how = DRV_INDIRECT;
        for (unsigned i = 0; i < n; i++) {
                heads[i] = ring->free_head;
                OK(drv_blk_submit(&a->blk, &a->blk.slot[i], VIRTIO_BLK_T_IN, i * 8, 4096));
        }
        a->device.vring[0]->format->publish(a->device.vring[0]);
}

static void mark(struct area *a, uint16_t head, uint64_t counter)
{
        a->desc[head].inflight = 1;
        a->desc[head].counter = counter;
}

/* Pretends that the device has completed a head before it died. */
static void complete(struct area *a, uint16_t head)
{
        struct drv_split *ring = drv_split_of(a->device.vring[0]);
        uint16_t idx = le16toh(ring->used->idx);

        ring->used->ring[idx % 64] = (struct vring_used_elem){ htole32(head), htole32(1) };
        ring->used->idx = htole16(idx + 1);
}

static void begin_area(struct area *a, uint16_t used_idx)
{
        a->head->version = 1;
        a->head->desc_num = 64;
        a->head->used_idx = used_idx;
}

/* Four requests: the second is done, the first and third were taken, in the other order; the fourth is new. */
START_TEST(resubmits_exactly_what_was_in_flight)
{
        RIG_WITH(rig, .engine = engines[_i % 2]);
        struct area a = area_open(&rig);
        bool noted = _i / 2; /* did the dead one note the completion in the area? */
        struct drv_used used;
        uint16_t heads[4];
        unsigned seen = 0;

        put_requests(&a, 4, heads);
        complete(&a, heads[1]);
        begin_area(&a, noted ? 1 : 0);
        mark(&a, heads[0], 9);
        mark(&a, heads[2], 4);
        if (!noted) { /* published, but not yet cleared: to be found by last_batch_head */
                mark(&a, heads[1], 5);
                a.head->last_batch_head = heads[1];
        }
        ck_assert_int_eq(drv_pop(a.device.vring[0], &used), 1);
        OK(fe_device_reconnect(&a.device, rig.socket));
        for (unsigned i = 0; i < 3; i++) {
                OK(drv_take(a.device.vring[0], FE_TIMEOUT_MS, &used));
                seen |= 1u << ((struct drv_blk_req *) used.cookie - a.blk.slot);
        }
        ck_assert_uint_eq(seen, 0xd);
        OK(fe_get_vring_base(&a.device.conn, 0, &(uint32_t){ 0 }));
        ck_assert(!a.device.vring[0]->format->pending(a.device.vring[0]));
        for (unsigned i = 0; i < 64; i++)
                ck_assert_uint_eq(a.desc[i].inflight, 0);
        ck_assert_uint_eq(a.head->used_idx, 4);
        area_close(&a);
}
END_TEST

/* Comes back with its area, but enables nothing yet. */
static void come_back_disabled(struct fe_device *device, const struct rig *rig)
{
        fe_close(&device->conn);
        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &device->conn));
        OK(fe_device_negotiate(device));
        OK(fe_set_inflight_fd(&device->conn, &device->inflight, device->inflight_fd.num));
        OK(fe_device_send_memory(device));
        OK(fe_device_start_vring(device, 0, drv_used_base(device->vring[0])));
}

#define LEAVES VIRTIO_BIT(VU_PF_GET_VRING_BASE_INFLIGHT)

/*
 * Two requests that a dead worker had taken, and a vring that is stopped before it is enabled: they stay in flight where
 * that was negotiated, and the next start takes them up; else they are completed first.
 */
START_TEST(left_in_flight)
{
        RIG_WITH(rig, .engine = engines[_i % 2]);
        struct area a = area_open(&rig);
        bool leaves = _i / 2 == 0;
        uint16_t heads[2];
        uint32_t base;

        put_requests(&a, 2, heads);
        begin_area(&a, 0);
        mark(&a, heads[0], 9);
        mark(&a, heads[1], 4);
        if (!leaves)
                a.device.options.protocol_features &= ~LEAVES;
        come_back_disabled(&a.device, &rig);
        OK(fe_get_vring_base(&a.device.conn, 0, &base));
        ck_assert_uint_eq(base, 2);
        ck_assert(a.device.vring[0]->format->pending(a.device.vring[0]) == !leaves);
        ck_assert_uint_eq(a.desc[heads[0]].inflight + a.desc[heads[1]].inflight, leaves ? 2 : 0);
        OK(fe_device_start_vring(&a.device, 0, base));
        OK(fe_set_vring_enable(&a.device.conn, 0, true));
        for (unsigned i = 0; i < 2; i++) {
                struct drv_used used;

                OK(drv_take(a.device.vring[0], FE_TIMEOUT_MS, &used));
                ck_assert_uint_eq(*((struct drv_blk_req *) used.cookie)->status.at, VIRTIO_BLK_S_OK);
        }
        OK(fe_get_vring_base(&a.device.conn, 0, &base));
        ck_assert_uint_eq(base, 2);
        area_close(&a);
}
END_TEST

/* The same with what a worker that was killed has really left, as when a guest moves away just then. */
START_TEST(left_by_the_killed)
{
        RIG_WITH(rig, .engine = engines[_i % 2]);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk;
        uint32_t base;

        if (_i / 2)
                device.options.protocol_features &= ~LEAVES;
        OK(drv_blk_init(&blk, device.vring[0], 0, DEPTH, 16 << 10));
        for (unsigned round = 0; round < 3; round++) {
                submit_all(&blk, round);
                OK(prog_kill(rig_child(&rig, "vhost-worker"), FE_TIMEOUT_MS));
                OK(fe_gone(&device.conn));
                come_back_disabled(&device, &rig);
                OK(fe_get_vring_base(&device.conn, 0, &base));
                OK(fe_device_start_vring(&device, 0, base));
                OK(fe_set_vring_enable(&device.conn, 0, true));
                take_all(&blk);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(leaving_needs_an_area)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        FAILS(-EREMOTEIO, fe_set_protocol_features(&conn, VIRTIO_BIT(VU_PF_REPLY_ACK) | LEAVES));
        OK(fe_set_protocol_features(&conn, VIRTIO_BIT(VU_PF_REPLY_ACK) | VIRTIO_BIT(VU_PF_INFLIGHT_SHMFD) | LEAVES));
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

/* Whatever the area says, it costs at most this ring: the session ends or the ring breaks, nothing else. */
START_TEST(hostile_area)
{
        RIG(rig);
        struct area a = area_open(&rig);
        uint16_t heads[4];

        put_requests(&a, 4, heads);
        begin_area(&a, 0);
        switch (_i) {
        case 0: /* everything in flight, more than was ever made available */
                memset(a.desc, 0xff, 64 * sizeof(*a.desc));
                break;
        case 1: /* a batch chain that leaves the area */
                a.head->used_idx = 0xfff0;
                a.head->last_batch_head = 0xffff;
                break;
        case 2: /* a batch chain in a circle, and 65535 completions behind */
                a.head->used_idx = 1;
                a.head->last_batch_head = 3;
                a.desc[3].next = 3;
                break;
        case 3: /* another size than the ring's */
                a.head->desc_num = 65535;
                mark(&a, 63, 1);
                break;
        case 4: /* unknown version and features */
                a.head->version = 999;
                a.head->features = UINT64_MAX;
                break;
        case 5: /* the same counter everywhere */
                for (unsigned i = 0; i < 64; i++)
                        mark(&a, i, 0);
                break;
        }
        a.device.conn = FE_CONN_NONE;
        (void) fe_device_reconnect(&a.device, rig.socket); /* may be refused: both ends are right */
        if (fd_has(&a.device.conn.fd))
                (void) fe_get_features(&a.device.conn, &(uint64_t){ 0 });
        area_close(&a);
        rig_check_alive(&rig);
}
END_TEST

START_TEST(bad_areas)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        struct vu_inflight good, bad;
        AUTO_FD fd = FD_NONE;

        OK(fe_set_features(&conn, VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) |
                                          (rig_packed() ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0)));
        OK(fe_get_inflight_fd(&conn, 4, 128, &good, &fd));
        ck_assert_uint_eq(good.size, 4 * vu_inflight_bytes(128, rig_packed()));
        ck_assert_uint_eq(good.offset, 0);
        OK(fe_set_inflight_fd(&conn, &good, fd.num));
        bad = good;
        bad.size = 64;
        FAILS(-EREMOTEIO, fe_set_inflight_fd(&conn, &bad, fd.num));
        bad = good;
        bad.queues = 65535;
        FAILS(-EREMOTEIO, fe_set_inflight_fd(&conn, &bad, fd.num));
        bad = good;
        bad.offset = UINT64_MAX - 4095;
        FAILS(-EREMOTEIO, fe_set_inflight_fd(&conn, &bad, fd.num));
        bad = good;
        bad.size = UINT64_MAX;
        FAILS(-EREMOTEIO, fe_set_inflight_fd(&conn, &bad, fd.num));
        bad = good;
        bad.offset = 1 << 20;
        FAILS(-EREMOTEIO, fe_set_inflight_fd(&conn, &bad, fd.num));
        for (unsigned i = 0; i < 200; i++) { /* each one anew leaks nothing: rig_stop counts */
                AUTO_FD more = FD_NONE;

                OK(fe_get_inflight_fd(&conn, 4, 1024, &bad, &more));
        }
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("recovery");
        TCase *c = tcase_create("recovery");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, killed_under_load, 0, 4);
        tcase_add_loop_test(c, cache_mode, 0, 2);
        tcase_add_test(c, next_connection_waits);
        if (!rig_packed()) { /* areas written by hand; those of packed rings are the unit tests' */
                tcase_add_loop_test(c, resubmits_exactly_what_was_in_flight, 0, 4);
                tcase_add_loop_test(c, left_in_flight, 0, 4);
                tcase_add_loop_test(c, hostile_area, 0, 6);
        }
        tcase_add_loop_test(c, left_by_the_killed, 0, 4);
        tcase_add_test(c, leaving_needs_an_area);
        tcase_add_test(c, bad_areas);
        suite_add_tcase(s, c);
        return rig_main(s);
}
