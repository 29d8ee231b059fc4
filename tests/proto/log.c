/*
 * The dirty log of a live migration, as a front-end sees it (protocol facts, 5.5).
 */
#include "rig.h"

#include "array.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LOG_BYTES = 4096, REQUESTS = 200 }; /* 128 MiB of guest memory: the device's 32 MiB from 1 MiB on, and a rest */

struct bitmap {
        struct fd fd;
        uint8_t *bits;
};

static struct bitmap make_log(uint64_t bytes)
{
        struct bitmap log = { .fd.num = memfd_create("log", MFD_CLOEXEC) };

        ck_assert(log.fd.num >= 0 && !ftruncate(log.fd.num, (off_t) bytes));
        log.bits = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, log.fd.num, 0);
        ck_assert(log.bits != MAP_FAILED);
        return log;
}

static void drop_log(struct bitmap *log)
{
        munmap(log->bits, LOG_BYTES);
        fd_close(&log->fd);
}

/* As QEMU sends it: no NEED_REPLY, and it waits for a reply all the same. */
static int set_log_base(struct fe_conn *conn, const struct bitmap *log, uint64_t size, uint64_t offset)
{
        const struct vu_log what = { .size = size, .offset = offset };
        struct fe_reply reply;
        int r = fe_send_flags(conn, VU_SET_LOG_BASE, VU_VERSION, &what, sizeof(what), &log->fd.num, 1);

        if (!r)
                r = fe_recv_reply(conn, VU_SET_LOG_BASE, &reply);
        if (r)
                return r;
        return reply.header.size == sizeof(what) && !memcmp(reply.bytes, &what, sizeof(what)) ? 0 : -EBADMSG;
}

static int set_ring_log(struct fe_device *device, bool on)
{
        struct vu_vring_addr addr = fe_device_vring_addr(device, 0);

        addr.flags = on ? VU_VRING_F_LOG : 0;
        addr.log = on ? device->vring[0]->device : 0;
        return fe_set_vring_addr(&device->conn, &addr);
}

/* Takes a bit away, as a migration does before it sends the page. */
static bool take(struct bitmap *log, uint64_t gpa)
{
        uint8_t bit = (uint8_t) (1 << gpa / 4096 % 8);

        return __atomic_fetch_and(&log->bits[gpa / 4096 / 8], (uint8_t) ~bit, __ATOMIC_SEQ_CST) & bit;
}

static bool noted(const struct bitmap *log, uint64_t gpa)
{
        return __atomic_load_n(&log->bits[gpa / 4096 / 8], __ATOMIC_SEQ_CST) & 1 << gpa / 4096 % 8;
}

static unsigned count(const struct bitmap *log)
{
        unsigned n = 0;

        for (unsigned i = 0; i < LOG_BYTES; i++)
                n += (unsigned) __builtin_popcount(log->bits[i]);
        return n;
}

/* Takes the pages away in which the device says what it has used. True: one of them was noted. */
static bool take_used(struct bitmap *log, const struct drv_vring *v)
{
        uint64_t first = rig_packed() ? v->desc : v->device;
        uint64_t bytes = rig_packed() ? vring_desc_bytes(v->size) : 4 + sizeof(struct vring_used_elem) * v->size;
        bool any = false;

        for (uint64_t at = first / 4096 * 4096; at < first + bytes; at += 4096)
                any |= take(log, at);
        return any;
}

/* Where the device asks for kicks. */
static uint64_t event_at(const struct drv_vring *v)
{
        return v->device + (rig_packed() ? 0 : 4 + sizeof(struct vring_used_elem) * v->size);
}

/* Without that page: the device asks for kicks there, sooner or later, after it has published what it used. */
static unsigned count_without(const struct bitmap *log, uint64_t gpa)
{
        struct bitmap copy = { .bits = (uint8_t[LOG_BYTES]){ 0 } };

        memcpy(copy.bits, log->bits, LOG_BYTES);
        take(&copy, gpa);
        return count(&copy);
}

/* Its pages hold nothing of the ring. */
static struct drv_blk blk_apart(struct fe_device *device)
{
        struct fe_buf rest;

        OK(fe_mem_alloc(device->mem, 0, 4096, 4096, &rest));
        return rig_blk(device, 0);
}

/* QEMU's order: log, features, vrings; all while they run. */
static int begin(struct fe_device *device, const struct bitmap *log)
{
        int r = set_log_base(&device->conn, log, LOG_BYTES, 0);

        if (!r)
                r = fe_set_features(&device->conn, device->features | VIRTIO_BIT(VU_F_LOG_ALL));
        return r ? r : set_ring_log(device, true);
}

START_TEST(every_page_that_is_written)
{
        RIG_WITH(rig, .engine = _i ? "sync" : "uring");
        struct fe_device device = rig_device(&rig, (struct fe_options){ 0 });
        struct drv_blk blk = blk_apart(&device);
        struct bitmap log = make_log(LOG_BYTES);
        uint8_t bytes[64 << 10];
        struct drv_blk_req *req;

        ck_assert(device.offered & VIRTIO_BIT(VU_F_LOG_ALL));
        OK(begin(&device, &log));
        for (unsigned i = 0; i < REQUESTS; i++) {
                uint32_t n = 512 + i % 16 * 4096;

                memset(log.bits, 0, LOG_BYTES);
                OK(drv_blk_run(&blk, VIRTIO_BLK_T_IN, i, n, FE_TIMEOUT_MS, &req));
                for (uint64_t at = req->data.gpa; at < req->data.gpa + n; at += 4096)
                        ck_assert_msg(take(&log, at), "page 0x%llx of request %u", (unsigned long long) at, i);
                take(&log, req->data.gpa + n - 1);
                take(&log, req->status.gpa);
                ck_assert_msg(take_used(&log, device.vring[0]), "nothing of the ring, request %u", i);
                ck_assert_uint_eq(count_without(&log, event_at(device.vring[0])), 0);
        }
        memset(log.bits, 0, LOG_BYTES);
        memset(bytes, 7, sizeof(bytes));
        OK(drv_blk_write(&blk, 0, bytes, sizeof(bytes))); /* the device only reads that */
        ck_assert_uint_le(count(&log), 3);
        ck_assert(take_used(&log, device.vring[0]));
        drop_log(&log);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(switched_off_again)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ 0 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct bitmap log = make_log(LOG_BYTES);

        OK(begin(&device, &log));
        OK(fe_set_features(&device.conn, device.features));
        OK(set_ring_log(&device, false));
        memset(log.bits, 0, LOG_BYTES);
        rig_read_one(&rig, &blk);
        ck_assert_uint_eq(count(&log), 0);
        drop_log(&log);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* Whoever takes both logs, as it must, misses nothing. */
START_TEST(replaced_under_load)
{
        enum { DEPTH = 8, ROUNDS = 40 };
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ 0 });
        struct bitmap log[2] = { make_log(LOG_BYTES), make_log(LOG_BYTES) };
        struct drv_blk_req *req;
        struct drv_blk blk;

        OK(drv_blk_init(&blk, device.vring[0], 0, DEPTH, 4096));
        OK(begin(&device, &log[0]));
        for (unsigned round = 0; round < ROUNDS; round++) {
                memset(log[0].bits, 0, LOG_BYTES);
                memset(log[1].bits, 0, LOG_BYTES);
                for (unsigned i = 0; i < DEPTH; i++)
                        OK(drv_blk_submit(&blk, drv_blk_slot(&blk), VIRTIO_BLK_T_IN, i * 8, 4096));
                drv_kick(device.vring[0]);
                OK(set_log_base(&device.conn, &log[(round + 1) % 2], LOG_BYTES, 0));
                for (unsigned i = 0; i < DEPTH; i++) {
                        OK(drv_wait(device.vring[0], fe_deadline(FE_TIMEOUT_MS)));
                        ck_assert_int_eq(drv_blk_reap(&blk, &req), 1);
                        ck_assert(noted(&log[0], req->data.gpa) || noted(&log[1], req->data.gpa));
                }
        }
        drop_log(&log[0]);
        drop_log(&log[1]);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* Without an ack there is no way to refuse but to close; no front-end may take it for a log that works. */
START_TEST(refused)
{
        static const struct vu_log bad[] = {
                { 0, 0 }, { 1000, 0 }, { LOG_BYTES + 1, 0 }, { LOG_BYTES, 8 }, { UINT64_MAX, 8 }, { 2048, 4 },
        };
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ 0 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct bitmap log = make_log(LOG_BYTES);

        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                OK(fe_send_flags(&device.conn, VU_SET_LOG_BASE, VU_VERSION | VU_FLAG_NEED_REPLY, &bad[i],
                                 sizeof(bad[i]), &log.fd.num, 1));
                FAILS(-EREMOTEIO, fe_recv_ack(&device.conn, VU_SET_LOG_BASE));
                rig_read_one(&rig, &blk);
        }
        ck_assert_uint_eq(count(&log), 0);
        ck_assert(set_log_base(&device.conn, &log, 1000, 0) < 0);
        drop_log(&log);
        drv_blk_done(&blk);
        fe_device_drop(&device);
        rig_check_alive(&rig);
}
END_TEST

START_TEST(pokes)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ 0 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct bitmap log = make_log(LOG_BYTES);
        AUTO_FD poke = { eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };

        OK(fe_tell(&device.conn, VU_SET_LOG_FD, NULL, 0, &poke.num, 1));
        OK(begin(&device, &log));
        rig_read_one(&rig, &blk);
        OK(fe_poll(poke.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        OK(fe_tell(&device.conn, VU_SET_LOG_FD, NULL, 0, NULL, 0));
        rig_read_one(&rig, &blk);
        drop_log(&log);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("proto: log");
        TCase *tcase = tcase_create("log"), *pages = tcase_create("pages");

        tcase_set_timeout(pages, 60);
        tcase_add_loop_test(pages, every_page_that_is_written, 0, 2);
        suite_add_tcase(suite, pages);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, switched_off_again);
        tcase_add_test(tcase, replaced_under_load);
        tcase_add_test(tcase, refused);
        tcase_add_test(tcase, pokes);
        suite_add_tcase(suite, tcase);
        return rig_main(suite);
}
