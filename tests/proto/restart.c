/*
 * The broker alone is killed over and over under load, and started again by who holds the listening socket, as systemd
 * does. The connection ends with it; a front-end that comes again at once is served by the next broker. No request is
 * lost, none completes twice, none fails, no byte is wrong. The pause is what the guest notices: from the kill until
 * all that was in flight has completed. RESTART_ROUNDS: kills in each case; RESTART_SEED: of the load, as printed.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 12, COMPLETIONS_MAX = 96, CRASH_LOOP = 2, PAUSE_MAX_MS = 1000 };

struct run {
        struct rig *rig;
        struct load load;
        double *pause_ms;
        unsigned rounds;
        unsigned long in_flight, failed_starts, refused, crashes;
};

/* Connects while there is no broker. */
static struct fe_conn come_at_once(struct run *run)
{
        struct fe_conn conn;

        OK(fe_gone(&run->load.device.conn));
        OK(fe_connect(run->rig->socket, 0, &conn));
        return conn;
}

/* That connection is served, unless one of the brokers that crashed meanwhile had taken it. */
static void resume(struct run *run, struct fe_conn conn, unsigned crashes)
{
        unsigned refused = 0;
        int r;

        while ((r = fe_device_resume_on(&run->load.device, conn)) == -ECONNRESET || r == -EPIPE) {
                ck_assert_msg(refused++ < crashes, "a connection was refused for no crash: %s", log_errno(r));
                run->refused++;
                OK(fe_connect(run->rig->socket, 0, &conn));
        }
        OK(r);
}

/* In every fourth round the next ones crash as well, with the connection before them or in their hands. */
static void crash_and_restart(struct run *run, unsigned round)
{
        unsigned crashes = round % 4 == 3 ? CRASH_LOOP : 0;
        long long from = fe_now_ns();
        struct fe_conn conn;

        run->in_flight += load_in_flight(&run->load);
        rig_crash(run->rig);
        conn = come_at_once(run);
        run->failed_starts += rig_restart(run->rig);
        for (unsigned i = 0; i < crashes; i++) {
                rig_crash(run->rig);
                run->crashes++;
                run->failed_starts += rig_restart(run->rig);
        }
        resume(run, conn, crashes);
        load_drain(&run->load);
        run->pause_ms[round] = (double) (fe_now_ns() - from) / 1e6;
}

static int by_size(const void *a, const void *b)
{
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

static void print(const struct load_case *c, uint64_t seed, const struct run *run)
{
        printf("%s: broker killed %u times, with %lu requests in flight each time, and %lu times right after a start; "
               "%lu of %lu requests completed, each once, 0 wrong bytes; %lu connections had to come again, "
               "%lu starts failed; pause: least %.0f ms, median %.0f ms, max %.0f ms; seed %llu\n",
               c->name, run->rounds, run->in_flight / run->rounds, run->crashes, run->load.completed,
               run->load.requests, run->refused, run->failed_starts, run->pause_ms[0], run->pause_ms[run->rounds / 2],
               run->pause_ms[run->rounds - 1], (unsigned long long) seed);
}

START_TEST(broker_killed_over_and_over)
{
        const struct load_case *c = &load_cases[_i];
        RIG_WITH(rig, .engine = c->engine, .queues = LOAD_QUEUES, .set = { c->cache }, .held = true);
        uint64_t seed = load_number("RESTART_SEED", (uint64_t) fe_now_ns());
        struct run run = { .rig = &rig, .rounds = (unsigned) load_number("RESTART_ROUNDS", ROUNDS) };

        run.pause_ms = calloc(run.rounds, sizeof(*run.pause_ms));
        ck_assert(run.pause_ms && run.rounds);
        load_start(&run.load, &rig, c, seed);
        for (unsigned round = 0; round < run.rounds; round++) {
                load_work(&run.load, (unsigned) load_below(&run.load, COMPLETIONS_MAX));
                crash_and_restart(&run, round);
        }
        load_work(&run.load, COMPLETIONS_MAX);
        load_drain(&run.load);
        load_check_disk(&run.load, &rig);
        qsort(run.pause_ms, run.rounds, sizeof(*run.pause_ms), by_size);
        print(c, seed, &run);
        /* The shortest: what else the host does holds up some of them, a timer of ours would hold up all. */
        ck_assert_msg(run.pause_ms[0] < PAUSE_MAX_MS, "all pauses are longer than %d ms", PAUSE_MAX_MS);
        free(run.pause_ms);
        load_stop(&run.load);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("restart");
        TCase *c = tcase_create("restart");

        tcase_set_timeout(c, 60 + 3.0 * (double) load_number("RESTART_ROUNDS", ROUNDS));
        tcase_add_loop_test(c, broker_killed_over_and_over, 0, LOAD_CASES);
        suite_add_tcase(s, c);
        return rig_main(s);
}
