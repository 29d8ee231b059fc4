/*
 * A vring behind an IOMMU waits for what its addresses stand for. Meanwhile its worker may die, the vring may be
 * stopped or get another kick: nothing that was taken is forgotten, and nothing of an earlier life comes back.
 */
#include "holder.h"
#include "rig.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define GATE (RIG_GPA + RIG_DATA)

enum { AREA_QUEUES = 2 }; /* as many as there is room for in either format */

static uint64_t acked(bool packed)
{
        return RIG_ACKED | (packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0);
}

static uint32_t fresh(bool packed)
{
        return packed ? VRING_PACKED_BASE_FRESH : 0;
}

/* The base with `avail` requests of one slot fetched, `used` of them used, in the first lap. */
static uint32_t base_at(bool packed, uint32_t avail, uint32_t used)
{
        return packed ? (VRING_PACKED_BASE_FRESH | avail | used << 16) : avail;
}

/* Nothing is known of any address afterwards. */
static void forget_addresses(struct rig *rig, bool packed)
{
        const struct ipc_features features = { .acked = acked(packed) & rig->ready.features, .iommu = 1 };

        ck_assert_int_eq(rig_ask(rig, IPC_FEATURES, &features, sizeof(features), NULL, 0, NULL), 0);
}

static void configure(struct rig *rig, bool packed)
{
        const struct ipc_inflight area = { .size = RIG_QUEUES * vu_inflight_bytes(RIG_RING, false),
                                           .queues = AREA_QUEUES, .queue_size = RIG_RING };

        rig_configure(rig, acked(packed));
        ck_assert_int_eq(rig_ask(rig, IPC_INFLIGHT, &area, sizeof(area), &rig->area, 1, NULL), 0);
        forget_addresses(rig, packed);
}

static void up(struct rig *rig, bool packed)
{
        struct ipc_device device = rig_device(IPC_ENGINE_NULL, 0);

        rig_init_own(rig, &device, -1, holder_run);
        configure(rig, packed);
}

static void successor(struct rig *rig, bool packed)
{
        rig_kill(rig);
        rig_spawn(rig);
        configure(rig, packed);
}

/* The guest's addresses stand for themselves, from now on or no longer. */
static void tell(struct rig *rig, uint32_t access)
{
        const struct ipc_iotlb all = { .iova = RIG_GPA, .last = RIG_GPA + RIG_MEMORY / 2 - 1, .uva = RIG_UVA,
                                       .access = access };

        ck_assert_int_eq(rig_ask(rig, IPC_IOTLB, &all, sizeof(all), NULL, 0, NULL), 0);
}

static uint64_t iova_of(const struct rig *rig, const void *part)
{
        return RIG_GPA + (uint64_t) ((const char *) part - rig->guest);
}

static void start(struct rig *rig, uint32_t base, bool resume)
{
        const struct rig_ring *ring = &rig->ring[0];
        const struct ipc_vring_start what = { .size = RIG_RING, .desc = iova_of(rig, ring->desc),
                                              .avail = iova_of(rig, ring->avail), .used = iova_of(rig, ring->used),
                                              .base = base, .enabled = 1, .resume = resume, .fds = IPC_KICK };

        ck_assert_int_eq(rig_ask(rig, IPC_VRING_START, &what, sizeof(what), &ring->kick, 1, NULL), 0);
}

/* Returns the base, and perhaps IPC_STOP_LEFT. */
static uint64_t stop(struct rig *rig)
{
        const struct ipc_vring_stop what = { .index = 0 };
        uint64_t value;

        ck_assert_int_eq(rig_ask(rig, IPC_VRING_STOP, &what, sizeof(what), NULL, 0, &value), 0);
        return value;
}

static void set_gate(struct rig *rig, uint8_t value)
{
        __atomic_store_n((uint8_t *) rig_at(rig, GATE), value, __ATOMIC_SEQ_CST);
}

/* One request per entry of the ring, in its first lap. */
static void offer(struct rig *rig, bool packed, unsigned n)
{
        const struct rig_part part = { GATE, 1, true };
        struct rig_ring *ring = &rig->ring[0];

        for (; n; n--) {
                uint16_t i = ring->next_avail;
                struct vring_packed_desc *slot = (struct vring_packed_desc *) (void *) ring->desc + i;

                if (!packed) {
                        rig_write_chain(ring, i, &part, 1);
                        rig_offer(ring, i);
                        continue;
                }
                *slot = (struct vring_packed_desc){ .addr = htole64(GATE), .len = htole32(1), .id = htole16(i) };
                __atomic_store_n(&slot->flags, htole16(VRING_PACKED_DESC_F_AVAIL | VRING_DESC_F_WRITE),
                                 __ATOMIC_SEQ_CST);
                ring->next_avail++;
        }
}

static unsigned used(const struct rig *rig, bool packed)
{
        const uint16_t flags = VRING_PACKED_DESC_F_AVAIL | VRING_PACKED_DESC_F_USED;
        const struct vring_packed_desc *slot = (const void *) rig->ring[0].desc;
        unsigned n = 0;

        if (!packed)
                return le16toh(__atomic_load_n(&rig->ring[0].used->idx, __ATOMIC_ACQUIRE));
        while (n < RIG_RING && (le16toh(__atomic_load_n(&slot[n].flags, __ATOMIC_ACQUIRE)) & flags) == flags)
                n++;
        return n;
}

/* By the in-flight area: taken and not completed. */
static unsigned taken(const struct rig *rig, bool packed)
{
        const struct vu_inflight_packed *header = (const void *) rig->guest_area;
        const struct vu_inflight_packed_desc *entry = (const void *) (header + 1);
        unsigned n = 0;

        for (unsigned i = 0; packed && i < RIG_RING; i++)
                n += __atomic_load_n(&entry[i].inflight, __ATOMIC_RELAXED);
        return packed ? n : rig_taken(rig, 0);
}

/* Each ping is a round of the loop. */
static void await(struct rig *rig, bool packed, unsigned (*count)(const struct rig *rig, bool packed), unsigned n)
{
        time_t end = time(NULL) + RIG_WAIT_MS / 1000;

        while (count(rig, packed) != n) {
                ck_assert_int_eq(rig_ask(rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0);
                ck_assert_uint_eq(rig->broken, 0);
                ck_assert_msg(time(NULL) < end, "%u are not %u", count(rig, packed), n);
        }
}

/* A life of the ring in which n requests were served. */
static void serve(struct rig *rig, bool packed, unsigned n)
{
        tell(rig, IPC_READ | IPC_WRITE);
        start(rig, fresh(packed), false);
        set_gate(rig, 1);
        offer(rig, packed, n);
        rig_kick(&rig->ring[0]);
        await(rig, packed, used, n);
}

static void reboot(struct rig *rig)
{
        struct rig_ring *ring = &rig->ring[0];

        memset(ring->desc, 0, RIG_RING * sizeof(*ring->desc));
        memset(ring->avail, 0, vring_avail_bytes(RIG_RING));
        memset(ring->used, 0, vring_used_bytes(RIG_RING));
        ring->next_avail = ring->last_used = 0;
}

/* The worker dies before it has seen the ring; what the area says is of the life before. */
START_TEST(a_start_that_waits_has_no_past)
{
        bool packed = _i;
        struct rig rig;

        up(&rig, packed);
        serve(&rig, packed, 3);
        ck_assert_uint_eq(stop(&rig), base_at(packed, 3, 3));
        reboot(&rig);
        forget_addresses(&rig, packed);
        start(&rig, fresh(packed), false);
        successor(&rig, packed);
        start(&rig, fresh(packed), true);
        tell(&rig, IPC_READ | IPC_WRITE);
        offer(&rig, packed, 2);
        rig_kick(&rig.ring[0]);
        await(&rig, packed, used, 2);
        ck_assert_uint_eq(stop(&rig), base_at(packed, 2, 2));
        rig_done(&rig);
}
END_TEST

static int forget(struct rig *rig, uint32_t index)
{
        const struct ipc_vring_forget what = { .index = index };

        return rig_ask(rig, IPC_VRING_FORGET, &what, sizeof(what), NULL, 0, NULL);
}

/* The worker dies before it takes up the start at all, which its successor gets as one to resume. */
START_TEST(a_forgotten_life_is_not_resumed)
{
        bool packed = _i;
        struct rig rig;

        up(&rig, packed);
        serve(&rig, packed, 3);
        ck_assert_int_eq(forget(&rig, 0), -EBUSY);
        ck_assert_int_eq(forget(&rig, RIG_QUEUES), -EINVAL);
        ck_assert_int_eq(forget(&rig, AREA_QUEUES), -EINVAL);
        ck_assert_uint_eq(stop(&rig), base_at(packed, 3, 3));
        reboot(&rig);
        ck_assert_int_eq(forget(&rig, 0), 0);
        successor(&rig, packed);
        ck_assert_int_eq(forget(&rig, 0), 0);
        start(&rig, fresh(packed), true);
        tell(&rig, IPC_READ | IPC_WRITE);
        offer(&rig, packed, 2);
        rig_kick(&rig.ring[0]);
        await(&rig, packed, used, 2);
        rig_done(&rig);
}
END_TEST

/* A successor is asked to stop the ring before it has seen it: all that it knows stands in the in-flight area. */
START_TEST(a_stop_of_a_ring_not_seen_leaves_what_was_taken)
{
        bool packed = _i;
        struct rig rig;

        up(&rig, packed);
        serve(&rig, packed, 2);
        set_gate(&rig, 0);
        offer(&rig, packed, 5);
        rig_kick(&rig.ring[0]);
        await(&rig, packed, taken, 5);
        successor(&rig, packed);
        start(&rig, fresh(packed), true);
        ck_assert_uint_eq(stop(&rig), IPC_STOP_LEFT | base_at(packed, 7, 2));
        start(&rig, base_at(packed, 7, 2), true);
        set_gate(&rig, 1);
        tell(&rig, IPC_READ | IPC_WRITE);
        await(&rig, packed, used, 7);
        ck_assert_uint_eq(stop(&rig), base_at(packed, 7, 7));
        rig_done(&rig);
}
END_TEST

/* Where nothing was begun there is nothing to take up. */
START_TEST(a_stop_of_a_ring_never_seen_leaves_nothing)
{
        bool packed = _i;
        struct rig rig;

        up(&rig, packed);
        start(&rig, base_at(packed, 3, 3), false);
        successor(&rig, packed);
        start(&rig, base_at(packed, 3, 3), true);
        ck_assert_uint_eq(stop(&rig), base_at(packed, 3, 3));
        rig_done(&rig);
}
END_TEST

/* An idle ring whose addresses mean nothing any more sleeps until a kick. One that comes from elsewhere is as good. */
START_TEST(another_kick_wakes_a_ring_that_sleeps)
{
        const struct ipc_vring_fd_change kick = { 0, IPC_KICK };
        int other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        bool packed = _i & 1, none = _i & 2;
        struct rig rig;

        up(&rig, packed);
        serve(&rig, packed, 1);
        tell(&rig, 0);
        offer(&rig, packed, 1);
        ck_assert_int_eq(rig_ask(&rig, IPC_VRING_FD, &kick, sizeof(kick), &other, none ? 0 : 1, NULL), 0);
        tell(&rig, IPC_READ | IPC_WRITE);
        await(&rig, packed, used, 2);
        rig_done(&rig);
        close(other);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: behind an IOMMU");
        TCase *tcase = tcase_create("iommu");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, a_start_that_waits_has_no_past, 0, 2);
        tcase_add_loop_test(tcase, a_forgotten_life_is_not_resumed, 0, 2);
        tcase_add_loop_test(tcase, a_stop_of_a_ring_not_seen_leaves_what_was_taken, 0, 2);
        tcase_add_loop_test(tcase, a_stop_of_a_ring_never_seen_leaves_nothing, 0, 2);
        tcase_add_loop_test(tcase, another_kick_wakes_a_ring_that_sleeps, 0, 4);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
