/*
 * Hostile guests: what a driver can write into a ring. Each case breaks at most its own ring: the connection, the other
 * queue of the same device, a neighbour behind the same broker and the next connection go on.
 */
#include "victim.h"

#include "array.h"

#include <poll.h>
#include <string.h>

enum { SIZE = 64 };

static struct drv_split *ring_of(const struct victim *v)
{
        return drv_split_of(v->device.vring[0]);
}

static void put(struct vring_desc *d, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
        *d = (struct vring_desc){ htole64(addr), htole32(len), htole16(flags), htole16(next) };
}

/* A proper read request in descriptors 0..2 of a table. */
static void put_read(struct victim *v, struct vring_desc *d)
{
        struct virtio_blk_header h = { htole32(VIRTIO_BLK_T_IN), 0, htole64(3) };

        memcpy(v->head.at, &h, sizeof(h));
        put(&d[0], v->head.gpa, sizeof(h), VRING_DESC_F_NEXT, 1);
        put(&d[1], v->data.gpa, 4096, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
        put(&d[2], v->status.gpa, 1, VRING_DESC_F_WRITE, 0);
}

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

static void bad_chain(struct victim *v, unsigned which)
{
        struct vring_desc *d = ring_of(v)->desc, *t = (struct vring_desc *) v->table.at;

        put_read(v, d);
        put_read(v, t);
        switch (which) {
        case 0: /* a loop of one */
                put(&d[1], v->data.gpa, 512, NEXT | WRITE, 1);
                break;
        case 1: /* a loop over three */
                put(&d[2], v->status.gpa, 1, NEXT | WRITE, 0);
                break;
        case 2: /* next out of range */
                put(&d[1], v->data.gpa, 512, NEXT | WRITE, SIZE);
                break;
        case 3:
                put(&d[1], v->data.gpa, 512, NEXT | WRITE, 65535);
                break;
        case 4: /* an address in no region */
                put(&d[1], UINT64_C(1) << 60, 512, NEXT | WRITE, 2);
                break;
        case 5: /* begins inside, ends outside */
                put(&d[1], v->device.mem->part[0].region.gpa + v->device.mem->part[0].region.size - 100, 512,
                    NEXT | WRITE, 2);
                break;
        case 6: /* wraps around the address space */
                put(&d[1], UINT64_MAX - 255, 512, NEXT | WRITE, 2);
                break;
        case 7: /* lengths whose sum wraps 32 bits */
                put(&d[1], v->data.gpa, UINT32_MAX, NEXT | WRITE, 2);
                put(&d[2], v->data.gpa, UINT32_MAX, WRITE, 0);
                break;
        case 8: /* readable behind writable */
                put(&d[2], v->status.gpa, 1, 0, 0);
                break;
        case 9: /* no writable part at all */
                put(&d[0], v->head.gpa, 16, 0, 0);
                break;
        case 10: /* shorter than a header */
                put(&d[0], v->head.gpa, 7, NEXT, 2);
                break;
        case 11: /* no readable part */
                put(&d[0], v->status.gpa, 1, WRITE, 0);
                break;
        case 12: /* an indirect table of odd length */
                put(&d[0], v->table.gpa, 47, INDIRECT, 0);
                break;
        case 13: /* an empty table */
                put(&d[0], v->table.gpa, 0, INDIRECT, 0);
                break;
        case 14: /* a table in a table */
                put(&t[1], v->table.gpa, 48, INDIRECT | NEXT, 2);
                put(&d[0], v->table.gpa, 48, INDIRECT, 0);
                break;
        case 15: /* INDIRECT and NEXT together */
                put(&d[0], v->table.gpa, 48, INDIRECT | NEXT, 1);
                break;
        case 16: /* next leaves the table */
                put(&t[1], v->data.gpa, 512, NEXT | WRITE, 3);
                put(&d[0], v->table.gpa, 48, INDIRECT, 0);
                break;
        case 17: /* a loop in the table */
                put(&t[1], v->data.gpa, 512, NEXT | WRITE, 1);
                put(&d[0], v->table.gpa, 48, INDIRECT, 0);
                break;
        case 18: /* a table outside memory */
                put(&d[0], UINT64_C(1) << 50, 48, INDIRECT, 0);
                break;
        case 19: /* a huge table */
                put(&d[0], v->table.gpa, UINT32_MAX & ~15u, INDIRECT, 0);
                break;
        case 20: /* unknown flags everywhere */
                put(&d[0], v->head.gpa, 16, 0xfff8, 1);
                break;
        case 21: /* a zero-length descriptor at a bad address (the class of CVE-2020-10725) */
                put(&d[1], UINT64_MAX, 0, NEXT | WRITE, 2);
                break;
        }
}

enum { CHAINS = 22 };

START_TEST(chains)
{
        RIG_WITH(rig, .neighbour = true, .engine = _i % 2 ? "sync" : "uring");
        struct victim v = victim_open(&rig, SIZE, false);

        victim_drain_call(&v);
        bad_chain(&v, _i / 2);
        drv_split_show(ring_of(&v), 0);
        drv_kick_anyway(&ring_of(&v)->base);
        victim_answers_or_breaks(&rig, &v);
        victim_close(&rig, &v);
}
END_TEST

START_TEST(indices)
{
        static const uint16_t jumps[] = { SIZE + 1, 1000, 0x8000, 0xffff };
        RIG_WITH(rig, .neighbour = true);
        struct victim v = victim_open(&rig, SIZE, false);

        victim_drain_call(&v);
        if (_i < (int) ARRAY_SIZE(jumps)) {
                ring_of(&v)->avail->idx = htole16(jumps[_i]); /* more than the ring holds */
        } else {
                ring_of(&v)->avail->ring[0] = htole16(_i == ARRAY_SIZE(jumps) ? SIZE : 65535); /* a head that is none */
                ring_of(&v)->avail->idx = htole16(1);
        }
        victim_kick(&v);
        victim_breaks(&rig, &v);
        victim_close(&rig, &v);
}
END_TEST

/* The same head over and over, each copy in flight at once. */
START_TEST(one_head_many_times)
{
        RIG_WITH(rig, .neighbour = true, .engine = _i ? "sync" : "uring");
        struct victim v = victim_open(&rig, SIZE, false);

        victim_drain_call(&v);
        put_read(&v, ring_of(&v)->desc);
        for (unsigned i = 0; i < SIZE; i++)
                drv_split_show(ring_of(&v), 0);
        drv_kick_anyway(&ring_of(&v)->base);
        victim_answers_or_breaks(&rig, &v);
        victim_close(&rig, &v);
}
END_TEST

/* Descriptors, header and event index rewritten all the time while the device reads them. */
START_TEST(changing_under_the_device)
{
        RIG_WITH(rig, .neighbour = true, .engine = _i ? "sync" : "uring");
        struct victim v = victim_open(&rig, SIZE, false);
        long long end = fe_deadline(1000); /* how long the guest keeps at it; nothing is waited for */
        uint32_t state = 7;

        for (unsigned i = 0; fe_left_ms(end); i++) {
                volatile struct vring_desc *d = &ring_of(&v)->desc[i % 3];

                if (i % 64 == 0)
                        put_read(&v, ring_of(&v)->desc);
                state = state * 1664525 + 1013904223;
                if (i % 3 == 1)
                        d->len = htole32(state >> 4 & 0xfff);
                else if (i % 3 == 2)
                        d->flags = htole16(state >> 28 & 3);
                ((volatile struct virtio_blk_header *) v.head.at)->type = htole32(state >> 20 & 15);
                if (i % 16 == 0 && (uint16_t) (ring_of(&v)->avail_idx - le16toh(ring_of(&v)->used->idx)) < SIZE) {
                        drv_split_show(ring_of(&v), 0);
                        drv_kick_anyway(&ring_of(&v)->base);
                }
        }
        victim_close(&rig, &v);
}
END_TEST

/* A ring that broke starts again after GET_VRING_BASE. */
START_TEST(broken_ring_starts_again)
{
        RIG_WITH(rig, .neighbour = true);
        struct victim v = victim_open(&rig, SIZE, false);

        ring_of(&v)->avail->idx = htole16(SIZE + 1);
        victim_kick(&v);
        ck_assert_uint_eq(victim_breaks_and_restarts(&rig, &v), 0);
        victim_close(&rig, &v);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("hostile_ring");
        TCase *c = tcase_create("hostile_ring");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, chains, 0, 2 * CHAINS);
        tcase_add_loop_test(c, indices, 0, 6);
        tcase_add_loop_test(c, one_head_many_times, 0, 2);
        tcase_add_loop_test(c, changing_under_the_device, 0, 2);
        tcase_add_test(c, broken_ring_starts_again);
        suite_add_tcase(s, c);
        return rig_main(s);
}
