/*
 * Hostile guests with packed rings: each case breaks at most its own ring; the connection, the other queue of the same
 * device, a neighbour behind the same broker and the next connection go on.
 */
#include "victim.h"

#include "array.h"

#include <string.h>

enum { SIZE = 61 };

static struct drv_packed *ring_of(const struct victim *v)
{
        return drv_packed_of(v->device.vring[0]);
}

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define AVAIL VRING_PACKED_DESC_F_AVAIL
#define USED VRING_PACKED_DESC_F_USED

static void put(struct vring_packed_desc *d, uint64_t addr, uint32_t len, uint16_t flags)
{
        *d = (struct vring_packed_desc){ htole64(addr), htole32(len), htole16(5), htole16(flags) };
}

/* A proper read request in three descriptors; in a ring its first one is not available yet. */
static void put_read(struct victim *v, struct vring_packed_desc *d, bool in_ring)
{
        struct virtio_blk_header h = { htole32(VIRTIO_BLK_T_IN), 0, htole64(3) };
        uint16_t avail = in_ring ? AVAIL : 0, next = in_ring ? NEXT : 0;

        memcpy(v->head.at, &h, sizeof(h));
        put(&d[0], v->head.gpa, sizeof(h), next);
        put(&d[1], v->data.gpa, 4096, avail | next | WRITE);
        put(&d[2], v->status.gpa, 1, avail | WRITE);
}

static void bad_chain(struct victim *v, unsigned which)
{
        struct vring_packed_desc *d = ring_of(v)->desc, *t = (struct vring_packed_desc *) v->table.at;

        put_read(v, d, true);
        put_read(v, t, false);
        switch (which) {
        case 0: /* a chain without an end */
                for (unsigned i = 1; i < SIZE; i++)
                        put(&d[i], v->data.gpa, 1, AVAIL | NEXT | WRITE);
                break;
        case 1: /* an address in no region */
                put(&d[1], UINT64_C(1) << 60, 512, AVAIL | NEXT | WRITE);
                break;
        case 2: /* wraps around the address space */
                put(&d[1], UINT64_MAX - 255, 512, AVAIL | NEXT | WRITE);
                break;
        case 3: /* lengths whose sum wraps 32 bits */
                put(&d[1], v->data.gpa, UINT32_MAX, AVAIL | NEXT | WRITE);
                put(&d[2], v->data.gpa, UINT32_MAX, AVAIL | WRITE);
                break;
        case 4: /* readable behind writable */
                put(&d[2], v->status.gpa, 1, AVAIL);
                break;
        case 5: /* no writable part at all */
                put(&d[0], v->head.gpa, 16, 0);
                break;
        case 6: /* shorter than a header */
                put(&d[0], v->head.gpa, 7, NEXT);
                break;
        case 7: /* an indirect table of odd length */
                put(&d[0], v->table.gpa, 47, INDIRECT);
                break;
        case 8: /* an empty table */
                put(&d[0], v->table.gpa, 0, INDIRECT);
                break;
        case 9: /* INDIRECT and NEXT together */
                put(&d[0], v->table.gpa, 48, INDIRECT | NEXT);
                break;
        case 10: /* a table outside memory */
                put(&d[0], UINT64_C(1) << 50, 48, INDIRECT);
                break;
        case 11: /* a huge table */
                put(&d[0], v->table.gpa, UINT32_MAX & ~15u, INDIRECT);
                break;
        case 12: /* a table with tables, which mean nothing there */
                put(&t[1], v->table.gpa, 48, INDIRECT | NEXT | WRITE);
                put(&d[0], v->table.gpa, 48, INDIRECT);
                break;
        case 13: /* unknown flags */
                put(&d[0], v->head.gpa, 16, 0x7f78 | NEXT);
                d[0].flags &= htole16((uint16_t) ~(AVAIL | USED));
                break;
        case 14: /* a zero-length descriptor at a bad address */
                put(&d[1], UINT64_MAX, 0, AVAIL | NEXT | WRITE);
                break;
        }
        __atomic_store_n(&d[0].flags, d[0].flags | htole16(AVAIL), __ATOMIC_RELEASE);
}

enum { CHAINS = 15 };

START_TEST(chains)
{
        RIG_WITH(rig, .neighbour = true, .engine = _i % 2 ? "sync" : "uring");
        struct victim v = victim_open(&rig, SIZE, true);

        victim_drain_call(&v);
        bad_chain(&v, _i / 2);
        victim_kick(&v);
        victim_answers_or_breaks(&rig, &v);
        victim_close(&rig, &v);
}
END_TEST

/* The driver makes its ring available again and again, although none of it was used. */
START_TEST(laps_without_end)
{
        RIG_WITH(rig, .neighbour = true, .engine = _i ? "sync" : "uring");
        struct victim v = victim_open(&rig, SIZE, true);
        long long end = fe_deadline(500); /* how long the guest keeps at it; nothing is waited for */

        for (unsigned lap = 0; fe_left_ms(end); lap++) {
                for (unsigned i = 0; i < SIZE; i++)
                        put(&ring_of(&v)->desc[i], v.data.gpa, 4096, (lap & 1 ? USED : AVAIL) | WRITE | (i % 3 ? NEXT : 0));
                victim_kick(&v);
        }
        victim_close(&rig, &v);
}
END_TEST

/* A base that names no slot, or whose halves differ, is refused, and the ring starts with a good one. */
START_TEST(bad_bases)
{
        static const uint32_t bad[] = { 0x80008000 | SIZE, 0x80008000 | SIZE << 16, 0xffffffff, 0x80038002 };
        RIG_WITH(rig, .neighbour = true);
        struct victim v = victim_open(&rig, SIZE, true);
        struct drv_blk blk = rig_blk(&v.device, 0);
        uint32_t base;

        rig_read_one(&rig, &blk);
        OK(fe_get_vring_base(&v.device.conn, 0, &base));
        ck_assert_uint_eq(base, drv_base(v.device.vring[0]));
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
                FAILS(-EREMOTEIO, fe_device_start_vring(&v.device, 0, bad[i]));
        OK(prog_log_wait(&rig.prog, 0, "SET_VRING_KICK", FE_TIMEOUT_MS));
        OK(fe_device_start_vring(&v.device, 0, base & 0xffff)); /* as some front-ends send it */
        rig_read_one(&rig, &blk);
        drv_blk_done(&blk);
        victim_close(&rig, &v);
}
END_TEST

/* A ring that broke starts again after GET_VRING_BASE. */
START_TEST(broken_ring_starts_again)
{
        RIG_WITH(rig, .neighbour = true);
        struct victim v = victim_open(&rig, SIZE, true);

        bad_chain(&v, 1);
        victim_kick(&v);
        (void) victim_breaks_and_restarts(&rig, &v);
        victim_close(&rig, &v);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("hostile_packed");
        TCase *c = tcase_create("hostile_packed");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, chains, 0, 2 * CHAINS);
        tcase_add_loop_test(c, laps_without_end, 0, 2);
        tcase_add_test(c, bad_bases);
        tcase_add_test(c, broken_ring_starts_again);
        suite_add_tcase(s, c);
        return rig_main(s);
}
