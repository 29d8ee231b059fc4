/*
 * The back-end killed over and over under load: broker, session and worker at once, or one of the latter two. The
 * front-end comes back with its in-flight area; nothing is lost, nothing completes twice, no byte is wrong.
 * ENDURANCE_ROUNDS: kills in each case; ENDURANCE_SEED: of the load, as printed.
 */
#include "array.h"
#include "endurance_model.h"
#include "rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

enum { QUEUES = 4, DEPTH = 16, SECTORS = 2048, SECTORS_MAX = 16, ROUNDS = 24, COMPLETIONS_MAX = 96 };

enum job_kind { READ, WRITE, ZERO, FLUSH };

struct job {
        enum job_kind kind;
        unsigned sector, n;
        uint32_t generation; /* WRITE, ZERO */
        uint64_t from;       /* moment of the model */
};

struct lane {
        struct drv_blk blk;
        struct job job[DEPTH];
};

enum victim { ALL, WORKER, SESSION, VICTIMS };

struct tally {
        unsigned long kills[VICTIMS], refused, requests, completed, in_flight; /* the last: at the kills, added up */
};

struct run {
        struct rig *rig;
        struct fe_device device;
        struct model model;
        struct lane lane[QUEUES];
        uint64_t random;
        struct tally tally;
};

/* A case is an engine and a format of rings. */
struct endurance_case {
        const char *name, *engine, *cache;
        struct fe_options options;
};

static const struct endurance_case cases[] = {
        {"split, uring",           "uring", "block.cache=none",      { .queues = QUEUES, .queue_size = 64 }                },
        { "split, sync",           "sync",  "block.cache=writeback", { .queues = QUEUES, .queue_size = 64 }                },
        { "packed, uring",         "uring", "block.cache=none",      { .queues = QUEUES, .queue_size = 64, .packed = true }},
        { "packed in order, sync",
         "sync",                            "block.cache=writeback",
         { .queues = QUEUES, .queue_size = 64, .packed = true, .in_order = true }                                          },
};

static uint64_t below(struct run *run, uint64_t n)
{
        run->random ^= run->random << 13;
        run->random ^= run->random >> 7;
        run->random ^= run->random << 17;
        return (run->random >> 11) % n;
}

static enum job_kind pick_kind(struct run *run)
{
        uint64_t percent = below(run, 100);

        return percent < 50 ? WRITE : percent < 85 ? READ : percent < 95 ? ZERO : FLUSH;
}

static void submit(struct run *run, struct lane *lane, struct drv_blk_req *req)
{
        static const uint32_t types[] = {
                [READ] = VIRTIO_BLK_T_IN,
                [WRITE] = VIRTIO_BLK_T_OUT,
                [ZERO] = VIRTIO_BLK_T_WRITE_ZEROES,
                [FLUSH] = VIRTIO_BLK_T_FLUSH,
        };
        struct job *job = &lane->job[req - lane->blk.slot];
        uint32_t bytes;

        *job = (struct job){ .kind = pick_kind(run), .n = 1 + (unsigned) below(run, SECTORS_MAX) };
        job->sector = (unsigned) below(run, SECTORS - job->n);
        bytes = job->n * MODEL_SECTOR;
        memset(req->data.at, 0xee, SECTORS_MAX * MODEL_SECTOR);
        if (job->kind == WRITE || job->kind == ZERO)
                job->generation = model_begin(&run->model, job->sector, job->n, job->kind == ZERO);
        if (job->kind == WRITE)
                model_fill(job->sector, job->n, job->generation, req->data.at);
        if (job->kind == ZERO) {
                *(struct virtio_blk_range *) req->data.at =
                        (struct virtio_blk_range){ .sector = htole64(job->sector), .sectors = htole32(job->n) };
                bytes = sizeof(struct virtio_blk_range);
        }
        job->from = run->model.now;
        lane->blk.how = below(run, 2) ? DRV_INDIRECT : DRV_DIRECT;
        OK(drv_blk_submit(&lane->blk, req, types[job->kind], job->kind == READ || job->kind == WRITE ? job->sector : 0,
                          job->kind == FLUSH ? 0 : bytes));
        run->tally.requests++;
}

/* A completion that came early or twice would have found the status byte unwritten, and the data of a read. */
static void finish(struct run *run, struct lane *lane, struct drv_blk_req *req)
{
        const struct job *job = &lane->job[req - lane->blk.slot];

        ck_assert_msg(*req->status.at == VIRTIO_BLK_S_OK, "kind %d, sector %u+%u: status %u", (int) job->kind,
                      job->sector, job->n, *req->status.at);
        if (job->kind == READ)
                ck_assert_msg(!model_wrong(&run->model, job->sector, job->n, job->from, req->data.at),
                              "sectors %u+%u: wrong bytes read", job->sector, job->n);
        if (job->kind == WRITE || job->kind == ZERO)
                model_end(&run->model, job->sector, job->n, job->generation);
        run->tally.completed++;
}

static void fill_lanes(struct run *run)
{
        struct drv_blk_req *req;

        for (unsigned i = 0; i < QUEUES; i++) {
                while ((req = drv_blk_slot(&run->lane[i].blk)))
                        submit(run, &run->lane[i], req);
                drv_kick(run->lane[i].blk.vring);
        }
}

/* Takes what is there; returns how many. */
static unsigned reap(struct run *run)
{
        struct drv_blk_req *req;
        unsigned n = 0;
        int r;

        for (unsigned i = 0; i < QUEUES; i++) {
                while ((r = drv_blk_reap(&run->lane[i].blk, &req)) > 0) {
                        finish(run, &run->lane[i], req);
                        n++;
                }
                ck_assert_msg(!r, "queue %u: completed what is not in flight (twice?)", i);
        }
        return n;
}

static unsigned in_flight(const struct run *run)
{
        unsigned n = 0;

        for (unsigned i = 0; i < QUEUES; i++)
                n += run->lane[i].blk.vring->in_flight;
        return n;
}

/* Sleeps until a device calls; returns at once if a completion came before it was asked to. */
static void wait_any(struct run *run)
{
        struct pollfd p[QUEUES];
        eventfd_t count;

        for (unsigned i = 0; i < QUEUES; i++) {
                struct drv_vring *v = run->lane[i].blk.vring;

                drv_want_calls(v, true);
                if (v->format->pending(v))
                        return;
                p[i] = (struct pollfd){ .fd = v->call.num, .events = POLLIN };
        }
        ck_assert_msg(poll(p, QUEUES, FE_TIMEOUT_MS) > 0, "lost: %u requests in flight and no call", in_flight(run));
        for (unsigned i = 0; i < QUEUES; i++)
                if (p[i].revents)
                        (void) !eventfd_read(p[i].fd, &count);
}

/* Keeps the queues full until so many requests have completed. */
static void work(struct run *run, unsigned completions)
{
        unsigned done = 0;

        for (fill_lanes(run); done < completions; fill_lanes(run)) {
                wait_any(run);
                done += reap(run);
        }
}

static void drain(struct run *run)
{
        while (in_flight(run)) {
                wait_any(run);
                reap(run);
        }
}

/* The broker may still be at the old connection's end: comes again then, as VMMs do. */
static void come_back(struct run *run)
{
        const struct timespec pause = { .tv_nsec = 5000000 }; /* as VMMs wait, too: nothing tells when it is through */
        long long deadline = fe_deadline(FE_TIMEOUT_MS);
        int r;

        OK(fe_gone(&run->device.conn));
        while ((r = fe_device_reconnect(&run->device, run->rig->socket)) == -ECONNRESET || r == -EPIPE) {
                ck_assert_msg(fe_left_ms(deadline), "no new connection is served");
                run->tally.refused++;
                nanosleep(&pause, NULL);
        }
        OK(r);
}

static void kill_one(struct run *run, enum victim victim)
{
        pid_t broker = run->rig->prog.pid, worker = rig_child(run->rig, "vhost-worker"),
              session = rig_child(run->rig, "vhost-session");
        pid_t all[] = { broker, session, worker };
        unsigned first = (unsigned) below(run, 3);

        work(run, (unsigned) below(run, COMPLETIONS_MAX));
        run->tally.in_flight += in_flight(run);
        run->tally.kills[victim]++;
        if (victim == ALL) {
                pid_t order[] = { all[first], all[(first + 1) % 3], all[(first + 2) % 3] };

                rig_kill(run->rig, order, 3);
                rig_start_again(run->rig);
        } else {
                rig_kill(run->rig, victim == WORKER ? &worker : &session, 1);
        }
}

/* By the front-end's own reading of the file, after the last completion. */
static void check_disk(const struct run *run)
{
        uint8_t *data = malloc((size_t) SECTORS * MODEL_SECTOR);

        ck_assert(data != NULL);
        rig_read_disk(run->rig, 0, data, (size_t) SECTORS * MODEL_SECTOR);
        ck_assert_uint_eq(model_wrong_at_rest(&run->model, 0, SECTORS, data), 0);
        free(data);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
        const char *text = getenv(name);

        return text ? strtoull(text, NULL, 0) : otherwise;
}

static void print(const struct endurance_case *c, uint64_t seed, const struct tally *t)
{
        printf("%s: killed %lu times all, %lu the worker, %lu the session, with %lu requests in flight each time; %lu "
               "of %lu requests completed, each once, 0 wrong bytes; %lu connections had to come again; seed %llu\n",
               c->name, t->kills[ALL], t->kills[WORKER], t->kills[SESSION],
               t->in_flight / (t->kills[ALL] + t->kills[WORKER] + t->kills[SESSION]), t->completed, t->requests,
               t->refused, (unsigned long long) seed);
}

START_TEST(killed_over_and_over)
{
        const struct endurance_case *c = &cases[_i];
        RIG_WITH(rig, .engine = c->engine, .queues = QUEUES, .set = { c->cache });
        uint64_t seed = number("ENDURANCE_SEED", (uint64_t) fe_now_ns()), rounds = number("ENDURANCE_ROUNDS", ROUNDS);
        struct run run = { .rig = &rig, .device = rig_device(&rig, c->options), .random = seed | 1 };

        ck_assert(!!(run.device.features & VIRTIO_BIT(VIRTIO_F_RING_PACKED)) == c->options.packed);
        OK(model_init(&run.model, SECTORS));
        for (unsigned i = 0; i < QUEUES; i++)
                OK(drv_blk_init(&run.lane[i].blk, run.device.vring[i], 0, DEPTH, SECTORS_MAX * MODEL_SECTOR));
        for (uint64_t round = 0; round < rounds; round++) {
                kill_one(&run, round % 2 ? (enum victim)(WORKER + round / 2 % 2) : ALL);
                come_back(&run);
        }
        work(&run, COMPLETIONS_MAX);
        drain(&run);
        check_disk(&run);
        print(c, seed, &run.tally);
        for (unsigned i = 0; i < QUEUES; i++)
                drv_blk_done(&run.lane[i].blk);
        model_done(&run.model);
        OK(fe_device_stop(&run.device));
}
END_TEST

int main(void)
{
        Suite *s = suite_create("endurance");
        TCase *c = tcase_create("endurance");

        tcase_set_timeout(c, 60 + 2.0 * (double) number("ENDURANCE_ROUNDS", ROUNDS));
        tcase_add_loop_test(c, killed_over_and_over, 0, ARRAY_SIZE(cases));
        suite_add_tcase(s, c);
        return rig_main(s);
}
