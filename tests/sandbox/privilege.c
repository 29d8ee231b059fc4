/*
 * How long the broker holds privilege, with one device and with a hundred: from its start until the kernel says that it
 * has no capability any more.
 */
#include "proc_view.h"
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_MS = 1000 };

static const unsigned devices[] = { 1, 100 };

/* ms */
static long long time_until_bare(unsigned n, unsigned try)
{
        const struct timespec tick = { .tv_nsec = 1000000 }; /* a process that drops its capabilities causes no event */
        char dir[100], conf[120];
        char *argv[] = { getenv("VHOST_BROKER"), "--config", conf, NULL };
        long long from, deadline = fe_deadline(FE_TIMEOUT_MS), took;
        struct prog prog;
        int status = 0, ms;

        snprintf(dir, sizeof(dir), "%s/%u-%u", getenv("RIG_DIR"), n, try);
        ck_assert_int_eq(mkdir(dir, 0755), 0);
        snprintf(conf, sizeof(conf), "%s/conf", dir);
        rig_many_configs(conf, dir, n);
        from = fe_now_ns();
        OK(prog_start(argv, &prog));
        while (proc_status_hex(prog.pid, "CapPrm") || proc_status_hex(prog.pid, "CapEff")) {
                ck_assert(fe_left_ms(deadline));
                nanosleep(&tick, NULL);
        }
        took = (fe_now_ns() - from) / 1000000;
        OK(prog_ready(&prog, RIG_START_MS));
        ck_assert_uint_eq(proc_status_hex(prog.pid, "CapBnd"), 0);
        ck_assert_uint_ne(proc_status_number(prog.pid, "Uid"), 0);
        OK(prog_stop(&prog, RIG_STOP_MS, &status, &ms));
        ck_assert_int_eq(status, 0);
        return took;
}

START_TEST(is_given_away_at_once)
{
        long long took = MOST_MS;

        for (unsigned i = 0; i < PROMISE_TRIES && took >= MOST_MS; i++)
                took = time_until_bare(devices[_i], i);
        printf("%u devices: no capability after %lld ms\n", devices[_i], took);
        ck_assert_int_lt(took, MOST_MS);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("privilege");
        TCase *all = tcase_create("all");

        if (geteuid() != 0) {
                puts("skipped: only root has privilege to give away");
                return 77;
        }
        tcase_set_timeout(all, 60);
        tcase_add_loop_test(all, is_given_away_at_once, 0, sizeof(devices) / sizeof(devices[0]));
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
