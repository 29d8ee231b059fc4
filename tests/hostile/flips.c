/*
 * A guest with two processors: one makes requests available, the other rewrites descriptors, tables, headers and the
 * in-flight area all the time, so that nothing which the device reads twice is the same twice. A ring that breaks of it
 * starts again. FLIPS_REQUESTS: how many requests in each case; FLIPS_SEED: of the first one; FLIPS_CASE: only that one.
 */
#include "neighbour.h"

#include "array.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        QUEUES = 4,
        WELL = QUEUES, /* one more, far away in memory, which must not notice */
        SIZE = 64,
        PARTS = 3, /* descriptors of a request: header, data, status */
        DATA_BYTES = 4096,
        REQUESTS = 20000,
        PER_SECOND_LEAST = 1000, /* a sanitizer's build on a busy machine is faster */
        PATIENCE_MS = 5,         /* for what the other processor has made unrecognizable */
        WELL_EVERY = 500,        /* rounds */
};

#define OTHER_LEAST_NS 20000000000LL

struct flips_case {
        const char *engine, *threads;
        bool packed;
};

static const struct flips_case cases[] = {
        { "uring", "worker.threads=1", false },
        { "sync", "worker.threads=2", false },
        { "uring", "worker.threads=2", true },
        { "sync", "worker.threads=1", true },
};

struct lane {
        struct drv_vring *vring;
        struct fe_buf table[SIZE]; /* PARTS descriptors each, of either format: they have the same size */
        struct fe_buf head, data, status;
        uint16_t at;  /* next to make available; free running, or slot and wrap */
        bool wrap;
        unsigned long broken, restarts;
};

struct guest {
        struct fe_device device;
        struct lane lane[QUEUES];
        bool packed;
        uint8_t *inflight;
        atomic_bool over;
        uint64_t random; /* of the first processor */
        uint64_t seed;
};

/* In a build with the thread sanitizer: it is what this guest is for that its processors race. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
        return "report_bugs=0";
}

static uint32_t random_of(uint64_t *state)
{
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t) (*state >> 33);
}

static void open_lane(struct guest *g, unsigned index)
{
        struct lane *l = &g->lane[index];
        struct fe_mem *mem = g->device.mem;

        l->vring = g->device.vring[index];
        OK(fe_mem_alloc(mem, 0, sizeof(struct virtio_blk_header), 16, &l->head));
        OK(fe_mem_alloc(mem, 0, 4 * DATA_BYTES, 4096, &l->data));
        OK(fe_mem_alloc(mem, 0, 64, 64, &l->status));
        for (unsigned i = 0; i < SIZE; i++)
                OK(fe_mem_alloc(mem, 0, PARTS * sizeof(struct vring_desc), 16, &l->table[i]));
        l->wrap = true;
}

/* Mostly what a disk knows, somewhere on it or just outside. */
static void write_header(struct lane *l, uint32_t r)
{
        static const uint8_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
                                         VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_GET_ID, 2, 255 };
        volatile struct virtio_blk_header *h = (volatile struct virtio_blk_header *) l->head.at;
        uint32_t type = types[r % ARRAY_SIZE(types)];

        if (r % 1024 == 0)
                type = r & 1024 ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES;
        else if (r % 4096 == 1)
                type = VIRTIO_BLK_T_FLUSH;
        h->type = htole32(type);
        h->sector = htole64(2048 + r % (RIG_DISK_BYTES / 512)); /* the first MiB is for those who check the disk */
}

/* A request in a table; both formats keep addr and len in the same places. */
static void write_table(struct guest *g, struct lane *l, unsigned slot)
{
        struct vring_desc *d = (struct vring_desc *) l->table[slot].at;
        struct vring_packed_desc *p = (struct vring_packed_desc *) d;
        const uint64_t at[PARTS] = { l->head.gpa, l->data.gpa, l->status.gpa };
        const uint32_t len[PARTS] = { sizeof(struct virtio_blk_header), DATA_BYTES, 1 };
        bool in = random_of(&g->random) & 1;

        for (unsigned i = 0; i < PARTS; i++) {
                uint16_t write = i == 2 || (i == 1 && in) ? VRING_DESC_F_WRITE : 0;

                if (g->packed)
                        p[i] = (struct vring_packed_desc){ htole64(at[i]), htole32(len[i]), 0, htole16(write) };
                else
                        d[i] = (struct vring_desc){ htole64(at[i]), htole32(len[i]),
                                                    htole16(write | (i < 2 ? VRING_DESC_F_NEXT : 0)),
                                                    htole16((uint16_t) (i + 1)) };
        }
}

/* The rings themselves are written by the first processor only, or nothing could be counted; all else is flipped. */
static void flip(struct guest *g, uint64_t *random)
{
        struct lane *l = &g->lane[random_of(random) % QUEUES];
        uint32_t r = random_of(random);
        volatile struct vring_desc *d = (struct vring_desc *) l->table[r % SIZE].at + r / SIZE % PARTS;

        switch (r >> 20 & 7) {
        case 0:
                d->len = htole32(r % 97 ? r & (DATA_BYTES - 1) : random_of(random));
                break;
        case 1:
                d->len = htole32((r & 15) * 512);
                break;
        case 2: /* anywhere in memory, the rings not left out; rarely, anywhere at all */
                if (r % 61 == 0)
                        d->addr = htole64(l->data.gpa + (r & 0xffff));
                else if (r % 1021 == 0)
                        d->addr = htole64((uint64_t) random_of(random) << 20 | random_of(random));
                break;
        case 3:
                if (r % 127 == 0)
                        d->flags = htole16((uint16_t) (r >> 9));
                else
                        d->addr = htole64(l->data.gpa + (r & (DATA_BYTES - 1)));
                break;
        case 4:
                if (r % 127 == 0)
                        d->next = htole16((uint16_t) (r >> 9));
                break;
        case 5:
                if (g->inflight && r % 1021 == 0)
                        ((volatile uint8_t *) g->inflight)[random_of(random) % g->device.inflight.size] = (uint8_t) r;
                break;
        default:
                write_header(l, r >> 3);
        }
}

static void *other_processor(void *context)
{
        struct guest *g = context;
        uint64_t random = g->seed ^ 0xf11b;

        while (!atomic_load_explicit(&g->over, memory_order_relaxed))
                flip(g, &random);
        return NULL;
}

static void show_split(struct guest *g, struct lane *l, unsigned n)
{
        struct drv_split *s = drv_split_of(l->vring);

        for (unsigned i = 0; i < n; i++, l->at++) {
                unsigned slot = l->at % SIZE;

                write_table(g, l, slot);
                s->desc[slot] = (struct vring_desc){ htole64(l->table[slot].gpa),
                                                     htole32(PARTS * sizeof(struct vring_desc)),
                                                     htole16(VRING_DESC_F_INDIRECT), 0 };
                s->avail->ring[slot] = htole16((uint16_t) slot);
        }
        __atomic_store_n(&s->avail->idx, htole16(l->at), __ATOMIC_RELEASE);
}

static void show_packed(struct guest *g, struct lane *l, unsigned n)
{
        struct drv_packed *p = drv_packed_of(l->vring);

        for (unsigned i = 0; i < n; i++) {
                struct vring_packed_desc *d = &p->desc[l->at];
                uint16_t turn = l->wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED;

                write_table(g, l, l->at);
                d->addr = htole64(l->table[l->at].gpa);
                d->len = htole32(PARTS * sizeof(*d));
                d->id = htole16(l->at);
                __atomic_store_n(&d->flags, htole16(turn | VRING_DESC_F_INDIRECT), __ATOMIC_RELEASE);
                if (++l->at == SIZE)
                        l->at = 0, l->wrap = !l->wrap;
        }
}

/* Have all been used that are available? Packed: slots are used in order, so the last one tells. */
static bool all_used(const struct guest *g, const struct lane *l)
{
        uint16_t last = l->at ? l->at - 1 : SIZE - 1, flags;
        bool wrap = l->at ? l->wrap : !l->wrap;

        if (!g->packed)
                return le16toh(__atomic_load_n(&drv_split_of(l->vring)->used->idx, __ATOMIC_ACQUIRE)) == l->at;
        flags = le16toh(__atomic_load_n(&drv_packed_of(l->vring)->desc[last].flags, __ATOMIC_ACQUIRE));
        return !!(flags & VRING_PACKED_DESC_F_USED) == wrap && !!(flags & VRING_PACKED_DESC_F_AVAIL) == wrap;
}

static bool is_broken(const struct lane *l)
{
        struct pollfd err = { .fd = l->vring->err.num, .events = POLLIN };

        return poll(&err, 1, 0) > 0;
}

/* Drained, whatever state it is in, and begun anew. */
static void restart(struct guest *g, struct lane *l)
{
        unsigned index = l->vring->index;
        uint64_t count;
        uint32_t base;

        OK(fe_get_vring_base(&g->device.conn, index, &base));
        (void) !read(l->vring->err.num, &count, sizeof(count));
        drv_rebase(l->vring, 0);
        l->at = 0;
        l->wrap = true;
        OK(fe_device_start_vring(&g->device, index, drv_base(l->vring)));
        l->restarts++;
}

static void await_all(struct guest *g, struct lane *l)
{
        long long end = fe_deadline(PATIENCE_MS);

        while (!all_used(g, l)) {
                const bool broken = is_broken(l);

                if (broken || !fe_left_ms(end)) {
                        l->broken += broken;
                        restart(g, l);
                        return;
                }
                sched_yield(); /* the device may have to run here */
        }
}

static unsigned long one_round(struct guest *g)
{
        unsigned long made = 0;

        for (unsigned i = 0; i < QUEUES; i++) {
                struct lane *l = &g->lane[i];
                unsigned n = 1 + random_of(&g->random) % SIZE;

                if (g->packed)
                        show_packed(g, l, n);
                else
                        show_split(g, l, n);
                (void) !write(l->vring->kick.num, &(uint64_t){ 1 }, sizeof(uint64_t));
                made += n;
        }
        for (unsigned i = 0; i < QUEUES; i++)
                await_all(g, &g->lane[i]);
        return made;
}

static unsigned long number_from(const char *name, unsigned long otherwise)
{
        const char *text = getenv(name);

        return text ? strtoul(text, NULL, 0) : otherwise;
}

static unsigned long restarts_of(const struct guest *g)
{
        unsigned long n = 0;

        for (unsigned i = 0; i < QUEUES; i++)
                n += g->lane[i].restarts;
        return n;
}

START_TEST(nothing_stays_the_same)
{
        const struct flips_case *c = &cases[_i];
        unsigned long wanted = number_from("FLIPS_REQUESTS", REQUESTS), made = 0;
        RIG_WITH(rig, .engine = c->engine, .queues = QUEUES + 1, .neighbour = true,
                 .set = { c->threads, "limits.messagespersecond=1000000", "limits.messagesburst=1000000" });
        static struct guest g;
        pthread_t other;
        struct neighbour n = neighbour_move_in(&rig);
        struct drv_blk well;
        long long from;

        g = (struct guest){ .packed = c->packed,
                            .seed = number_from("FLIPS_SEED", 1) + (unsigned) _i };
        g.random = g.seed;
        g.device = rig_device(&rig, (struct fe_options){ .queues = QUEUES + 1, .queue_size = SIZE, .packed = c->packed,
                                                         .two_regions = true, .last_apart = true });
        for (unsigned i = 0; i < QUEUES; i++)
                open_lane(&g, i);
        OK(drv_blk_init(&well, g.device.vring[WELL], 1, 1, DATA_BYTES));
        g.inflight = mmap(NULL, g.device.inflight.size, PROT_READ | PROT_WRITE, MAP_SHARED, g.device.inflight_fd.num,
                          (off_t) g.device.inflight.offset);
        ck_assert(g.inflight != MAP_FAILED);
        ck_assert_int_eq(pthread_create(&other, NULL, other_processor, &g), 0);
        from = fe_now_ns();
        /* On a busy machine the other one may not have run yet when enough requests are made. */
        for (unsigned round = 0; made < wanted || (!restarts_of(&g) && fe_now_ns() - from < OTHER_LEAST_NS); round++) {
                made += one_round(&g);
                if (round % WELL_EVERY == 0) {
                        rig_read_one(&rig, &well);
                        neighbour_look_in(&n);
                }
        }
        atomic_store(&g.over, true);
        pthread_join(other, NULL);
        rig_read_one(&rig, &well);
        fprintf(stderr, "%s, %s: %lu requests in %.1f s, %lu restarts of rings\n", c->packed ? "packed" : "split",
                c->engine, made, (double) (fe_now_ns() - from) / 1e9, restarts_of(&g));
        ck_assert_msg(restarts_of(&g) > 0, "nothing was flipped that mattered");
        for (unsigned i = 0; i < QUEUES; i++)
                if (g.lane[i].broken)
                        OK(prog_log_wait(&rig.prog, 0, ": vring ", FE_TIMEOUT_MS));
        munmap(g.inflight, g.device.inflight.size);
        drv_blk_done(&well);
        fe_device_drop(&g.device);
        neighbour_ending(&rig, &n);
}
END_TEST

int main(void)
{
        unsigned long only = number_from("FLIPS_CASE", ARRAY_SIZE(cases));
        Suite *s = suite_create("flips");
        TCase *c = tcase_create("flips");

        tcase_set_timeout(c, 60 + (double) number_from("FLIPS_REQUESTS", REQUESTS) / PER_SECOND_LEAST);
        tcase_add_loop_test(c, nothing_stays_the_same, only < ARRAY_SIZE(cases) ? (int) only : 0,
                            only < ARRAY_SIZE(cases) ? (int) only + 1 : (int) ARRAY_SIZE(cases));
        suite_add_tcase(s, c);
        return rig_main(s);
}
