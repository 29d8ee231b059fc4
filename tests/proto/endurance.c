/*
 * The back-end killed over and over under load: broker, session and worker at once, or one of the latter two. The
 * front-end comes back with its in-flight area; nothing is lost, nothing completes twice, no byte is wrong.
 * ENDURANCE_ROUNDS: kills in each case; ENDURANCE_SEED: of the load, as printed.
 */
#include "load.h"

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 24, COMPLETIONS_MAX = 96 };

enum victim { ALL, WORKER, SESSION, VICTIMS };

struct tally {
        unsigned long kills[VICTIMS], refused, in_flight; /* the last: at the kills, added up */
};

struct run {
        struct rig *rig;
        struct load load;
        struct tally tally;
};

/* The broker may still be at the old connection's end: comes again then, as VMMs do. */
static void come_back(struct run *run)
{
        const struct timespec pause = { .tv_nsec = 5000000 }; /* as VMMs wait, too: nothing tells when it is through */
        long long deadline = fe_deadline(FE_TIMEOUT_MS);
        int r;

        OK(fe_gone(&run->load.device.conn));
        while ((r = fe_device_reconnect(&run->load.device, run->rig->socket)) == -ECONNRESET || r == -EPIPE) {
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
        unsigned first = (unsigned) load_below(&run->load, 3);

        load_work(&run->load, (unsigned) load_below(&run->load, COMPLETIONS_MAX));
        run->tally.in_flight += load_in_flight(&run->load);
        run->tally.kills[victim]++;
        if (victim == ALL) {
                pid_t order[] = { all[first], all[(first + 1) % 3], all[(first + 2) % 3] };

                rig_kill(run->rig, order, 3);
                rig_restart(run->rig); /* the dead worker's last I/O may still hold the lock of the image */
        } else {
                rig_kill(run->rig, victim == WORKER ? &worker : &session, 1);
        }
}

static void print(const struct load_case *c, uint64_t seed, const struct run *run)
{
        const struct tally *t = &run->tally;

        printf("%s: killed %lu times all, %lu the worker, %lu the session, with %lu requests in flight each time; %lu "
               "of %lu requests completed, each once, 0 wrong bytes; %lu connections had to come again; seed %llu\n",
               c->name, t->kills[ALL], t->kills[WORKER], t->kills[SESSION],
               t->in_flight / (t->kills[ALL] + t->kills[WORKER] + t->kills[SESSION]), run->load.completed,
               run->load.requests, t->refused, (unsigned long long) seed);
}

START_TEST(killed_over_and_over)
{
        const struct load_case *c = &load_cases[_i];
        RIG_WITH(rig, .engine = c->engine, .queues = LOAD_QUEUES, .set = { c->cache });
        uint64_t seed = load_number("ENDURANCE_SEED", (uint64_t) fe_now_ns());
        uint64_t rounds = load_number("ENDURANCE_ROUNDS", ROUNDS);
        struct run run = { .rig = &rig };

        load_start(&run.load, &rig, c, seed);
        for (uint64_t round = 0; round < rounds; round++) {
                kill_one(&run, round % 2 ? (enum victim)(WORKER + round / 2 % 2) : ALL);
                come_back(&run);
        }
        load_work(&run.load, COMPLETIONS_MAX);
        load_drain(&run.load);
        load_check_disk(&run.load, &rig);
        print(c, seed, &run);
        load_stop(&run.load);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("endurance");
        TCase *c = tcase_create("endurance");

        tcase_set_timeout(c, 60 + 2.0 * (double) load_number("ENDURANCE_ROUNDS", ROUNDS));
        tcase_add_loop_test(c, killed_over_and_over, 0, LOAD_CASES);
        suite_add_tcase(s, c);
        return rig_main(s);
}
