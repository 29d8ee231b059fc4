/*
 * The dirty log as the real vhost-worker keeps it: what devices and rings write, and nothing else.
 */
#include "rig.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        DISK = 8 << 20,
        LOG = (0x100000000 + RIG_MEMORY) / 4096 / 8, /* bytes, for all of the guest's memory */
        DATA = RIG_DATA + 4096,
        RING_LOG = 16 << 20, /* where ring 0 is said to be logged: an address that nothing else dirties */
};

struct bitmap {
        int fd;
        uint8_t *bits;
        size_t size;
};

static struct bitmap new_bitmap(size_t size)
{
        struct bitmap log = { .fd = memfd_create("log", MFD_CLOEXEC), .size = size };

        ck_assert_int_ge(log.fd, 0);
        ck_assert_int_eq(ftruncate(log.fd, (off_t) size), 0);
        log.bits = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, log.fd, 0);
        ck_assert(log.bits != MAP_FAILED);
        return log;
}

static void drop_bitmap(struct bitmap *log)
{
        munmap(log->bits, log->size);
        close(log->fd);
}

static int set_log(struct rig *rig, const struct bitmap *log, uint64_t size, uint64_t offset)
{
        struct ipc_dirty_log what = { .size = size, .offset = offset };

        return rig_ask(rig, IPC_DIRTY_LOG, &what, sizeof(what), &log->fd, 1, NULL);
}

static int set_features(struct rig *rig, bool log_all)
{
        struct ipc_features what = { .acked = RIG_ACKED & rig->ready.features, .log_all = log_all };

        return rig_ask(rig, IPC_FEATURES, &what, sizeof(what), NULL, 0, NULL);
}

static int set_ring_log(struct rig *rig, uint32_t flags, uint64_t at)
{
        struct ipc_vring_log what = { .index = 0, .flags = flags, .log = at };

        return rig_ask(rig, IPC_VRING_LOG, &what, sizeof(what), NULL, 0, NULL);
}

static bool dirty(const struct bitmap *log, uint64_t gpa)
{
        return log->bits[gpa / 4096 / 8] & 1 << gpa / 4096 % 8;
}

static unsigned count(const struct bitmap *log)
{
        unsigned n = 0;

        for (size_t i = 0; i < log->size; i++)
                n += (unsigned) __builtin_popcount(log->bits[i]);
        return n;
}

static void clear(struct bitmap *log)
{
        memset(log->bits, 0, log->size);
}

static void up(struct rig *rig, enum ipc_engine engine, int *ret_disk)
{
        struct ipc_device device = rig_device(engine, DISK);

        *ret_disk = rig_disk(DISK, 0);
        rig_init(rig, &device, *ret_disk);
        rig_configure(rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(rig, 0, false), 0);
}

/* A read of `len` bytes to the guest address, by hand: header and status lie on pages of their own. */
static void read_to(struct rig *rig, uint64_t gpa, uint32_t len)
{
        const uint64_t head = RIG_GPA + RIG_DATA, status = RIG_GPA + RIG_DATA + (1 << 20);
        const struct rig_part parts[] = { { head, 16, false }, { gpa, len, true }, { status, 1, true } };

        memset(rig_at(rig, head), 0, 16);
        rig_write_chain(&rig->ring[0], 0, parts, 3);
        rig_offer(&rig->ring[0], 0);
        rig_kick(&rig->ring[0]);
        rig_wait_used(&rig->ring[0], 1);
        ck_assert_int_eq(rig_ask(rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0); /* what is noted after that, is */
        ck_assert_uint_eq(*(uint8_t *) rig_at(rig, status), VIRTIO_BLK_S_OK);
}

START_TEST(notes_what_the_device_writes)
{
        struct bitmap log = new_bitmap(LOG);
        struct rig rig;
        int disk;

        up(&rig, _i ? IPC_ENGINE_SYNC : IPC_ENGINE_URING, &disk);
        ck_assert_int_eq(set_log(&rig, &log, LOG, 0), 0);
        read_to(&rig, RIG_GPA + DATA, 8192);
        ck_assert_uint_eq(count(&log), 0); /* not asked for yet */
        ck_assert_int_eq(set_features(&rig, true), 0);
        read_to(&rig, RIG_GPA + DATA + 512, 8192);
        for (unsigned i = 0; i < 3; i++)
                ck_assert(dirty(&log, RIG_GPA + DATA + i * 4096));
        ck_assert(dirty(&log, RIG_GPA + RIG_DATA + (1 << 20)));
        ck_assert_uint_eq(count(&log), 4); /* with the status; not the header, not the ring */
        clear(&log);
        read_to(&rig, RIG_GPA + RIG_MEMORY / 2 - 4096 * 9, 4096 * 20); /* over two regions, bytes and bits */
        for (unsigned i = 0; i < 20; i++)
                ck_assert(dirty(&log, RIG_GPA + RIG_MEMORY / 2 - 4096 * 9 + i * 4096));
        ck_assert_uint_eq(count(&log), 21);
        ck_assert_int_eq(set_features(&rig, false), 0);
        clear(&log);
        read_to(&rig, RIG_GPA + DATA, 4096);
        ck_assert_uint_eq(count(&log), 0);
        rig_done(&rig);
        drop_bitmap(&log);
        close(disk);
}
END_TEST

START_TEST(notes_what_the_ring_writes)
{
        struct bitmap log = new_bitmap(LOG);
        struct rig rig;
        int disk;

        up(&rig, IPC_ENGINE_SYNC, &disk);
        ck_assert_int_eq(set_log(&rig, &log, LOG, 0), 0);
        ck_assert_int_eq(set_ring_log(&rig, VU_VRING_F_LOG, RING_LOG), 0);
        ck_assert(dirty(&log, RING_LOG)); /* at once, for what a predecessor may have left out */
        clear(&log);
        read_to(&rig, RIG_GPA + DATA, 4096);
        ck_assert(dirty(&log, RING_LOG));
        ck_assert_uint_eq(count(&log), 1);
        ck_assert_int_eq(set_ring_log(&rig, VU_VRING_F_LOG, RING_LOG - 8), 0); /* used.idx before the page, slots in it */
        clear(&log);
        read_to(&rig, RIG_GPA + DATA, 4096);
        ck_assert(dirty(&log, RING_LOG - 8) && dirty(&log, RING_LOG));
        ck_assert_uint_eq(count(&log), 2);
        ck_assert_int_eq(set_ring_log(&rig, 0, 0), 0);
        clear(&log);
        read_to(&rig, RIG_GPA + DATA, 4096);
        ck_assert_uint_eq(count(&log), 0);
        rig_done(&rig);
        drop_bitmap(&log);
        close(disk);
}
END_TEST

/* The first log is not touched any more; the second begins inside of its file. */
START_TEST(a_log_is_replaced_while_running)
{
        struct bitmap first = new_bitmap(LOG), second = new_bitmap(LOG + 4096 + 8);
        struct rig rig;
        int disk;

        up(&rig, IPC_ENGINE_SYNC, &disk);
        ck_assert_int_eq(set_log(&rig, &first, LOG, 0), 0);
        ck_assert_int_eq(set_features(&rig, true), 0);
        read_to(&rig, RIG_GPA + DATA, 4096);
        ck_assert_uint_eq(count(&first), 2);
        ck_assert_int_eq(set_log(&rig, &second, LOG, 4096 + 8), 0);
        clear(&first);
        read_to(&rig, RIG_GPA + DATA, 4096);
        ck_assert_uint_eq(count(&first), 0);
        ck_assert_uint_eq(count(&second), 2);
        second.bits += 4096 + 8;
        ck_assert(dirty(&second, RIG_GPA + DATA));
        second.bits -= 4096 + 8;
        rig_done(&rig);
        drop_bitmap(&first);
        drop_bitmap(&second);
        close(disk);
}
END_TEST

/* A log that ends before the memory: what lies beyond is left out, and no byte behind it is touched. */
START_TEST(writes_nothing_beyond_the_log)
{
        const uint64_t covered = RIG_GPA + DATA + 4096;
        struct bitmap log = new_bitmap(LOG);
        struct rig rig;
        int disk;

        up(&rig, IPC_ENGINE_SYNC, &disk);
        ck_assert_int_eq(set_log(&rig, &log, (covered / 4096 + 7) / 8, 0), 0);
        ck_assert_int_eq(set_features(&rig, true), 0);
        read_to(&rig, RIG_GPA + DATA, 64 << 10);
        ck_assert(dirty(&log, RIG_GPA + DATA));
        for (uint64_t i = (covered / 4096 + 7) / 8; i < LOG; i++)
                ck_assert_uint_eq(log.bits[i], 0);
        ck_assert_int_eq(set_ring_log(&rig, VU_VRING_F_LOG, UINT64_MAX - 3), 0); /* wraps within the ring */
        ck_assert_int_eq(set_ring_log(&rig, VU_VRING_F_LOG, UINT64_C(1) << 62), 0);
        read_to(&rig, RIG_GPA + DATA, 512);
        rig_done(&rig);
        drop_bitmap(&log);
        close(disk);
}
END_TEST

START_TEST(refuses_what_is_no_log)
{
        static const struct {
                uint64_t size, offset;
        } bad[] = { { 0, 0 }, { LOG + 1, 0 }, { LOG, 8 }, { 8, 4 }, { UINT64_MAX, 8 }, { 8, UINT64_MAX - 7 } };
        struct ipc_features two = { .acked = RIG_ACKED, .log_all = 2 };
        struct bitmap log = new_bitmap(LOG), is_pipe = { 0 };
        struct rig rig;
        int disk, ends[2];

        up(&rig, IPC_ENGINE_SYNC, &disk);
        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                ck_assert_int_eq(set_log(&rig, &log, bad[i].size, bad[i].offset), -EINVAL);
        ck_assert_int_eq(pipe(ends), 0);
        is_pipe.fd = ends[0];
        ck_assert_int_eq(set_log(&rig, &is_pipe, LOG, 0), -EINVAL);
        ck_assert_int_eq(set_ring_log(&rig, 2, 0), -EINVAL);
        two.acked &= rig.ready.features;
        ck_assert_int_eq(rig_ask(&rig, IPC_FEATURES, &two, sizeof(two), NULL, 0, NULL), -EINVAL);
        ck_assert_int_eq(set_features(&rig, true), 0); /* without a log: nothing is noted, nothing breaks */
        ck_assert_int_eq(set_ring_log(&rig, VU_VRING_F_LOG, RING_LOG), 0);
        read_to(&rig, RIG_GPA + DATA, 4096);
        close(ends[0]);
        close(ends[1]);
        rig_done(&rig);
        drop_bitmap(&log);
        close(disk);
}
END_TEST

START_TEST(pokes_after_logging)
{
        struct bitmap log = new_bitmap(LOG);
        int poke, disk;
        struct rig rig;
        uint64_t n;

        up(&rig, IPC_ENGINE_SYNC, &disk);
        poke = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ck_assert_int_eq(set_log(&rig, &log, LOG, 0), 0);
        ck_assert_int_eq(rig_ask(&rig, IPC_DIRTY_LOG_FD, NULL, 0, &poke, 1, NULL), 0);
        read_to(&rig, RIG_GPA + DATA, 4096);
        ck_assert_int_eq(rig_ask(&rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0);
        ck_assert_int_lt(read(poke, &n, sizeof(n)), 0);
        ck_assert_int_eq(set_features(&rig, true), 0);
        read_to(&rig, RIG_GPA + DATA, 4096);
        ck_assert_int_eq(rig_ask(&rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0);
        ck_assert_int_eq(read(poke, &n, sizeof(n)), sizeof(n));
        ck_assert_int_eq(rig_ask(&rig, IPC_DIRTY_LOG_FD, NULL, 0, NULL, 0, NULL), 0);
        read_to(&rig, RIG_GPA + DATA, 4096);
        ck_assert_int_eq(rig_ask(&rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0);
        ck_assert_int_lt(read(poke, &n, sizeof(n)), 0);
        close(poke);
        rig_done(&rig);
        drop_bitmap(&log);
        close(disk);
}
END_TEST

/* Killed and replaced: what the first one had in flight is noted by the second. */
START_TEST(a_successor_notes_what_it_repeats)
{
        struct bitmap log = new_bitmap(LOG);
        struct rig rig;
        int disk;

        up(&rig, IPC_ENGINE_SYNC, &disk);
        read_to(&rig, RIG_GPA + DATA, 512);
        rig_kill(&rig);
        rig_spawn(&rig);
        ck_assert_int_eq(set_log(&rig, &log, LOG, 0), 0);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(set_features(&rig, true), 0);
        ((struct vu_inflight_split_desc *) (rig.guest_area + sizeof(struct vu_inflight_split)))[0].inflight = 1;
        rig.ring[0].avail->idx = htole16(2);
        rig.ring[0].avail->ring[1] = 0;
        ck_assert_int_eq(rig_ring_start(&rig, 0, true), 0);
        rig_wait_used(&rig.ring[0], 1);
        ck_assert(dirty(&log, RIG_GPA + DATA));
        rig_done(&rig);
        drop_bitmap(&log);
        close(disk);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: dirty log");
        TCase *tcase = tcase_create("log");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, notes_what_the_device_writes, 0, 2);
        tcase_add_test(tcase, notes_what_the_ring_writes);
        tcase_add_test(tcase, a_log_is_replaced_while_running);
        tcase_add_test(tcase, writes_nothing_beyond_the_log);
        tcase_add_test(tcase, refuses_what_is_no_log);
        tcase_add_test(tcase, pokes_after_logging);
        tcase_add_test(tcase, a_successor_notes_what_it_repeats);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
