/*
 * A guest behind an IOMMU (protocol facts, 5.4). The test owns the IOMMU: the driver's addresses are iovas, the regions
 * lie elsewhere in guest physical memory, and what an iova stands for is told page by page, when asked.
 */
#include "rig.h"

#include "array.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, QUEUES = 2 };

#define SHIFT (UINT64_C(1) << 40) /* gpa of an iova, so that one taken for the other is noticed */

struct behind {
        struct fe_device d;
        struct fe_conn channel;
        unsigned misses;
        uint64_t withheld; /* iova of a page that is not told; 0: none */
        bool asked;        /* for that */
};

static uint64_t iotlb(struct fe_conn *conn, struct vu_iotlb what)
{
        struct fe_reply reply;

        OK(fe_send_flags(conn, VU_IOTLB_MSG, VU_VERSION, &what, sizeof(what), NULL, 0));
        OK(fe_recv_reply(conn, VU_IOTLB_MSG, &reply)); /* replied to, whether asked for or not */
        ck_assert_uint_eq(reply.header.size, 8);
        return reply.u64;
}

static uint64_t tell(struct behind *b, uint64_t iova, uint64_t uva, uint8_t access)
{
        return iotlb(&b->d.conn, (struct vu_iotlb){ .iova = iova, .size = PAGE, .uva = uva, .access = access,
                                                    .type = VU_IOTLB_UPDATE });
}

static uint64_t invalidate(struct behind *b, uint64_t iova, uint64_t size)
{
        return iotlb(&b->d.conn, (struct vu_iotlb){ .iova = iova, .size = size, .type = VU_IOTLB_INVALIDATE });
}

/* One question of the back-end's, and its answer. */
static void answer(struct behind *b)
{
        struct fe_reply ask;
        struct vu_iotlb what;
        uint64_t page;

        OK(fe_recv(&b->channel, &ask));
        ck_assert_uint_eq(ask.header.request, VU_BACKEND_IOTLB_MSG);
        ck_assert_uint_eq(ask.header.flags, VU_VERSION);
        ck_assert_uint_eq(ask.header.size, sizeof(what));
        memcpy(&what, ask.bytes, sizeof(what));
        ck_assert_uint_eq(what.type, VU_IOTLB_MISS);
        ck_assert(what.access == VU_IOTLB_READ || what.access == VU_IOTLB_WRITE);
        b->misses++;
        page = what.iova & ~(uint64_t) (PAGE - 1);
        if (page == b->withheld)
                b->asked = true;
        else
                ck_assert_uint_eq(tell(b, page, fe_mem_uva(b->d.mem, page), VU_IOTLB_READ | VU_IOTLB_WRITE), 0);
}

/* Answers until the condition holds. */
#define ANSWER_UNTIL(b, condition)                                                                                    \
        do {                                                                                                          \
                while (!(condition)) {                                                                                \
                        OK(fe_poll((b)->channel.fd.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));                         \
                        answer(b);                                                                                    \
                }                                                                                                     \
        } while (0)

/* Regions are told at other guest physical addresses than the driver uses. */
static int send_memory(struct fe_device *d)
{
        int r = 0;

        for (unsigned i = 0; i < d->mem->n && !r; i++) {
                struct vu_region region = d->mem->part[i].region;

                region.gpa += SHIFT;
                r = fe_add_mem_reg(&d->conn, &region, d->mem->part[i].fd.num);
        }
        return r;
}

static int start_vring(struct fe_device *d, unsigned index)
{
        const struct drv_vring *v = d->vring[index];
        const struct vu_vring_addr addr = { .index = index, .desc = v->desc, .avail = v->driver, .used = v->device };
        struct fe_conn *conn = &d->conn;
        int r = fe_set_vring_num(conn, index, v->size);

        if (!r)
                r = fe_set_vring_base(conn, index, drv_base(v));
        if (!r)
                r = fe_set_vring_addr(conn, &addr);
        if (!r)
                r = fe_set_vring_fd(conn, VU_SET_VRING_CALL, index, v->call.num);
        if (!r)
                r = fe_set_vring_fd(conn, VU_SET_VRING_ERR, index, v->err.num);
        if (!r)
                r = fe_set_vring_fd(conn, VU_SET_VRING_KICK, index, v->kick.num);
        return r ? r : fe_set_vring_enable(conn, index, true);
}

static struct behind behind_with(const struct rig *rig, uint64_t features)
{
        struct behind b = { .d = { .inflight_fd = FD_NONE } };
        struct fe_device *d = &b.d;

        d->options = (struct fe_options){ .queues = QUEUES, .queue_size = 128, .mem_bytes = 32 << 20, .mem_gpa = 1 << 20,
                                          .protocol_features = ~UINT64_C(0) };
        d->options.features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) |
                              VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) | features |
                              (rig_packed() ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0);
        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &d->conn));
        d->mem = calloc(1, sizeof(*d->mem));
        ck_assert_ptr_nonnull(d->mem);
        OK(fe_device_negotiate(d));
        ck_assert_uint_eq(d->features, d->options.features);
        OK(fe_set_backend_req_fd(&d->conn, &b.channel));
        OK(fe_device_memory(d));
        OK(fe_device_vrings(d));
        OK(fe_device_inflight(d));
        OK(send_memory(d));
        for (unsigned i = 0; i < QUEUES; i++)
                OK(start_vring(d, i));
        return b;
}

#define EVENT_AND_TABLES (VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC))

static struct behind behind(const struct rig *rig)
{
        return behind_with(rig, EVENT_AND_TABLES);
}

static void leave(struct behind *b)
{
        fe_close(&b->channel);
        fe_device_drop(&b->d);
}

/* A request that ends whatever is asked for meanwhile. */
static struct drv_blk_req *run(struct behind *b, struct drv_blk *blk, uint32_t type, uint64_t sector, uint32_t n)
{
        struct drv_blk_req *req = drv_blk_slot(blk), *done;

        OK(drv_blk_submit(blk, req, type, sector, n));
        drv_kick(blk->vring);
        drv_want_calls(blk->vring, true);
        while (drv_blk_reap(blk, &done) == 0) {
                struct pollfd polls[] = { { .fd = blk->vring->call.num, .events = POLLIN },
                                          { .fd = b->channel.fd.num, .events = POLLIN } };
                uint64_t calls;

                ck_assert_int_gt(poll(polls, 2, FE_TIMEOUT_MS), 0);
                if (polls[1].revents)
                        answer(b);
                else
                        ck_assert_int_eq(read(polls[0].fd, &calls, sizeof(calls)), sizeof(calls));
        }
        ck_assert_ptr_eq(done, req);
        ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
        return req;
}

static void check_read(struct behind *b, const struct rig *rig, struct drv_blk *blk, uint64_t sector, uint32_t n)
{
        static uint8_t want[64 << 10];

        rig_read_disk(rig, sector * 512, want, n);
        ck_assert_mem_eq(run(b, blk, VIRTIO_BLK_T_IN, sector, n)->data.at, want, n);
}

/* What a driver may ack besides; both formats of rings by RIG_RING. */
static const uint64_t combinations[] = {
        0,
        VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC),
        VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_IN_ORDER),
        EVENT_AND_TABLES | VIRTIO_BIT(VIRTIO_F_IN_ORDER),
        EVENT_AND_TABLES,
};

START_TEST(reads_and_writes)
{
        RIG_WITH(rig, .engine = _i % 2 ? "sync" : "uring", .set = { "device.iommu=yes" });
        uint64_t features = combinations[_i / 2];
        struct behind b = behind_with(&rig, features);
        struct drv_blk blk = rig_blk(&b.d, 0);
        unsigned misses;

        if (features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC))
                blk.how = _i % 4 < 2 ? DRV_INDIRECT : DRV_TAIL_INDIRECT;
        for (unsigned i = 0; i < 60; i++) {
                uint32_t n = 512 + i % 16 * PAGE;

                memset(blk.slot[0].data.at, (int) i, n);
                run(&b, &blk, VIRTIO_BLK_T_OUT, 1000 + i * 128, n);
                memset(blk.slot[0].data.at, 0xff, n);
                check_read(&b, &rig, &blk, 1000 + i * 128, n);
        }
        misses = b.misses;
        ck_assert_uint_gt(misses, 16);
        check_read(&b, &rig, &blk, 0, 512);
        ck_assert_uint_eq(b.misses, misses); /* all is known by now */
        drv_blk_done(&blk);
        leave(&b);
}
END_TEST

START_TEST(a_miss_stalls_its_vring_only)
{
        RIG_WITH(rig, .set = { "device.iommu=yes" });
        struct behind b = behind(&rig);
        struct drv_blk blk = rig_blk(&b.d, 0), other = rig_blk(&b.d, 1);
        struct drv_blk_req *req;
        uint32_t base, before;

        check_read(&b, &rig, &blk, 0, 512);
        check_read(&b, &rig, &other, 0, 512);
        before = drv_base(blk.vring);
        req = &blk.slot[0];
        ck_assert_uint_eq(invalidate(&b, req->data.gpa, PAGE), 0);
        b.withheld = req->data.gpa;
        OK(drv_blk_submit(&blk, req, VIRTIO_BLK_T_IN, 1, 512));
        drv_kick(blk.vring);
        ANSWER_UNTIL(&b, b.asked);
        for (unsigned i = 0; i < 20; i++)
                check_read(&b, &rig, &other, i * 8, PAGE);
        ck_assert_int_eq(drv_blk_reap(&blk, &req), 0);
        req = &blk.slot[0];
        if (_i == 0) { /* told at last */
                ck_assert_uint_eq(tell(&b, b.withheld, fe_mem_uva(b.d.mem, b.withheld), VU_IOTLB_WRITE), 0);
                OK(drv_wait(blk.vring, fe_deadline(FE_TIMEOUT_MS)));
                ck_assert_int_eq(drv_blk_reap(&blk, &req), 1);
                OK(fe_get_vring_base(&b.d.conn, 0, &base));
                ck_assert_uint_eq(base, drv_base(blk.vring));
        } else { /* stopped instead: it was not taken */
                OK(fe_get_vring_base(&b.d.conn, 0, &base));
                ck_assert_uint_eq(base, before);
        }
        drv_blk_done(&blk);
        drv_blk_done(&other);
        leave(&b);
}
END_TEST

/* After an invalidation the same iova may stand for something else. */
START_TEST(another_page_for_an_iova)
{
        uint8_t want[PAGE];
        RIG_WITH(rig, .set = { "device.iommu=yes" });
        struct behind b = behind(&rig);
        struct drv_blk blk = rig_blk(&b.d, 0);
        uint64_t iova = blk.slot[0].data.gpa;
        struct fe_buf page;

        check_read(&b, &rig, &blk, 0, PAGE);
        OK(fe_mem_alloc(b.d.mem, 0, PAGE, PAGE, &page));
        if (_i == 0)
                ck_assert_uint_eq(invalidate(&b, iova, PAGE), 0);
        else if (_i == 1)
                ck_assert_uint_eq(invalidate(&b, 0, 0), 0); /* all there are, rings too */
        ck_assert_uint_eq(tell(&b, iova, fe_mem_uva(b.d.mem, page.gpa), VU_IOTLB_WRITE | VU_IOTLB_READ), 0);
        memset(blk.slot[0].data.at, 0, PAGE);
        run(&b, &blk, VIRTIO_BLK_T_IN, 8, PAGE);
        rig_read_disk(&rig, PAGE, want, PAGE);
        ck_assert_mem_eq(page.at, want, PAGE);
        for (unsigned i = 0; i < PAGE; i++)
                ck_assert_uint_eq(blk.slot[0].data.at[i], 0);
        drv_blk_done(&blk);
        leave(&b);
}
END_TEST

/* A claim that leads nowhere breaks the vring that follows it, and nothing else. */
START_TEST(no_memory_behind_an_iova)
{
        static const uint64_t nowhere[] = { 0, 0xfffffffff000 };
        RIG_WITH(rig, .set = { "device.iommu=yes" });
        struct behind b = behind(&rig);
        struct drv_blk blk = rig_blk(&b.d, 0), other = rig_blk(&b.d, 1);

        check_read(&b, &rig, &blk, 0, 512);
        ck_assert_uint_eq(tell(&b, blk.slot[0].data.gpa, nowhere[_i], VU_IOTLB_WRITE), 0);
        OK(drv_blk_submit(&blk, &blk.slot[0], VIRTIO_BLK_T_IN, 1, 512));
        drv_kick(blk.vring);
        OK(fe_poll(blk.vring->err.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        check_read(&b, &rig, &other, 0, 512);
        drv_blk_done(&blk);
        drv_blk_done(&other);
        leave(&b);
}
END_TEST

START_TEST(more_than_the_cache_holds)
{
        RIG_WITH(rig, .set = { "device.iommu=yes" });
        struct behind b = behind(&rig);
        struct drv_blk blk = rig_blk(&b.d, 0);

        check_read(&b, &rig, &blk, 0, PAGE);
        for (uint64_t i = 0; i < 5000; i++)
                ck_assert_uint_eq(tell(&b, (UINT64_C(1) << 33) + i * PAGE, 1 << 20, VU_IOTLB_READ), 0);
        for (unsigned i = 0; i < 16; i++)
                check_read(&b, &rig, &blk, i * 8, 64 << 10);
        drv_blk_done(&blk);
        leave(&b);
}
END_TEST

START_TEST(refused)
{
        const struct vu_iotlb bad[] = {
                { .iova = 0, .size = PAGE, .uva = 0, .access = 3, .type = 0 },
                { .iova = 0, .size = PAGE, .uva = 0, .access = 3, .type = VU_IOTLB_MISS },
                { .iova = 0, .size = PAGE, .uva = 0, .access = 3, .type = VU_IOTLB_ACCESS_FAIL },
                { .iova = 0, .size = PAGE, .uva = 0, .access = 0, .type = VU_IOTLB_UPDATE },
                { .iova = 0, .size = PAGE, .uva = 0, .access = 4, .type = VU_IOTLB_UPDATE },
                { .iova = 0, .size = 0, .uva = 0, .access = 3, .type = VU_IOTLB_UPDATE },
                { .iova = UINT64_MAX - PAGE + 2, .size = PAGE, .uva = 0, .access = 3, .type = VU_IOTLB_UPDATE },
                { .iova = 0, .size = PAGE, .uva = UINT64_MAX - PAGE + 2, .access = 3, .type = VU_IOTLB_UPDATE },
                { .iova = 2, .size = UINT64_MAX, .uva = 0, .access = 3, .type = VU_IOTLB_UPDATE },
        };
        const struct vu_iotlb good = { .iova = 0, .size = PAGE, .uva = 0, .access = 3, .type = VU_IOTLB_UPDATE };
        RIG_WITH(rig, .set = { "device.iommu=yes" });
        struct behind b = behind(&rig);
        struct drv_blk blk = rig_blk(&b.d, 0);
        struct fe_conn conn;

        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(iotlb(&b.d.conn, bad[i]) == 1, "%u", i);
        check_read(&b, &rig, &blk, 0, PAGE);
        drv_blk_done(&blk);
        leave(&b);
        rig_await_idle(&rig);
        conn = rig_connect(&rig);
        OK(fe_set_features(&conn, VIRTIO_BIT(VIRTIO_F_VERSION_1)));
        ck_assert_uint_eq(iotlb(&conn, good), 1); /* not behind an IOMMU */
        fe_close(&conn);
}
END_TEST

enum { LOG_BYTES = (SHIFT >> 15) + (64 << 20 >> 15) };

/* Takes a bit away. */
static bool take(uint8_t *log, uint64_t gpa)
{
        uint8_t bit = (uint8_t) (1 << gpa / PAGE % 8);

        return __atomic_fetch_and(&log[gpa / PAGE / 8], (uint8_t) ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* The bits of the first 64 MiB, of iovas and of what they stand for: nobody writes elsewhere. */
static unsigned count(const uint8_t *log)
{
        unsigned n = 0;

        for (unsigned i = 0; i < 64 << 20 >> 15; i++)
                n += (unsigned) __builtin_popcount(log[i]) + (unsigned) __builtin_popcount(log[(SHIFT >> 15) + i]);
        return n;
}

/* How many pages of what the device writes in the ring were noted; its parts may share them with one another. */
static unsigned take_ring(uint8_t *log, const struct drv_vring *v)
{
        unsigned n = take(log, SHIFT + (rig_packed() ? v->desc : v->device));

        n += take(log, SHIFT + v->device);
        return n + take(log, SHIFT + v->device + 4 + 8 * 128);
}

static void begin_log(struct behind *b, int log)
{
        const struct drv_vring *v = b->d.vring[0];
        const struct vu_vring_addr addr = { .index = 0, .desc = v->desc, .avail = v->driver, .used = v->device,
                                            .flags = VU_VRING_F_LOG, .log = v->device };
        const struct vu_log what = { .size = LOG_BYTES };
        struct fe_reply reply;

        OK(fe_send_flags(&b->d.conn, VU_SET_LOG_BASE, VU_VERSION, &what, sizeof(what), &log, 1));
        OK(fe_recv_reply(&b->d.conn, VU_SET_LOG_BASE, &reply));
        OK(fe_set_features(&b->d.conn, b->d.features | VIRTIO_BIT(VU_F_LOG_ALL)));
        OK(fe_set_vring_addr(&b->d.conn, &addr));
}

/* The log knows no iova: what is noted is the page that it stood for (vhost-user, "Migration"). */
START_TEST(logged_by_guest_address)
{
        RIG_WITH(rig, .engine = _i ? "sync" : "uring", .set = { "device.iommu=yes" });
        struct behind b = behind(&rig);
        struct drv_blk blk = rig_blk(&b.d, 0);
        const struct drv_vring *v = b.d.vring[0];
        uint64_t ring = rig_packed() ? v->desc : v->device;
        AUTO_FD file = { memfd_create("log", MFD_CLOEXEC) };
        struct drv_blk_req *req;
        uint8_t *log;

        ck_assert(fd_has(&file) && !ftruncate(file.num, LOG_BYTES));
        log = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file.num, 0);
        ck_assert_ptr_ne(log, MAP_FAILED);
        check_read(&b, &rig, &blk, 0, 512);
        begin_log(&b, file.num);
        for (unsigned i = 0; i < 40; i++) {
                uint32_t n = 512 + i % 16 * PAGE;
                unsigned left, late;

                memset(log, 0, 64 << 20 >> 15);
                memset(log + (SHIFT >> 15), 0, 64 << 20 >> 15);
                req = run(&b, &blk, VIRTIO_BLK_T_IN, i, n);
                for (uint64_t at = req->data.gpa; at < req->data.gpa + n; at += PAGE)
                        ck_assert_msg(take(log, SHIFT + at), "page 0x%llx of request %u", (unsigned long long) at, i);
                ck_assert(take(log, SHIFT + ring));
                take_ring(log, v);
                take(log, SHIFT + req->data.gpa + n - 1);
                take(log, SHIFT + req->status.gpa);
                left = count(log); /* the ring's own may be noted once more when the request is back */
                late = take_ring(log, v);
                ck_assert_msg(left <= late, "%u pages too many of request %u", left - late, i);
        }
        munmap(log, LOG_BYTES);
        drv_blk_done(&blk);
        leave(&b);
}
END_TEST

/* A worker that is told of everything before it asks. */
START_TEST(told_ahead)
{
        RIG_WITH(rig, .set = { "device.iommu=yes" });
        struct behind b = behind(&rig);
        struct drv_blk blk = rig_blk(&b.d, 1);
        const struct vu_iotlb all = { .iova = 1 << 20, .size = 32 << 20, .uva = fe_mem_uva(b.d.mem, 1 << 20),
                                      .access = 3, .type = VU_IOTLB_UPDATE };
        uint8_t want[PAGE];
        struct drv_blk_req *req;

        ck_assert_uint_eq(iotlb(&b.d.conn, all), 0);
        ck_assert_uint_eq(iotlb(&b.d.conn, all), 0); /* twice is the same */
        OK(drv_blk_run(&blk, VIRTIO_BLK_T_IN, 8, PAGE, FE_TIMEOUT_MS, &req));
        rig_read_disk(&rig, PAGE, want, PAGE);
        ck_assert_mem_eq(req->data.at, want, PAGE);
        drv_blk_done(&blk);
        leave(&b);
}
END_TEST

/* User-Mode Linux acks it without an IOMMU, so only the device's config may offer it. */
START_TEST(not_offered_unasked)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });

        ck_assert(!(device.offered & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM)));
        OK(fe_device_stop(&device));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("proto: iommu");
        TCase *tcase = tcase_create("iommu");

        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, not_offered_unasked);
        tcase_add_loop_test(tcase, reads_and_writes, 0, 2 * ARRAY_SIZE(combinations));
        tcase_add_loop_test(tcase, logged_by_guest_address, 0, 2);
        tcase_add_loop_test(tcase, a_miss_stalls_its_vring_only, 0, 2);
        tcase_add_loop_test(tcase, another_page_for_an_iova, 0, 3);
        tcase_add_loop_test(tcase, no_memory_behind_an_iova, 0, 2);
        tcase_add_test(tcase, more_than_the_cache_holds);
        tcase_add_test(tcase, refused);
        tcase_add_test(tcase, told_ahead);
        suite_add_tcase(suite, tcase);
        return rig_main(suite);
}
