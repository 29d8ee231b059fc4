/*
 * What an idle device costs all in all: session and worker together, private pages and the kernel's share.
 *
 *   device-memory BROKER [uring|sync] [DEVICES] [ROUNDS]
 *
 * Private: Private_Clean + Private_Dirty of both, from /proc/PID/smaps_rollup.
 * Kernel, counted: the growth of Slab + KernelStack + PageTables + SecPageTables + Percpu (/proc/meminfo) from no device
 * to DEVICES devices, divided by them.
 * All in all: the fall of MemFree + Buffers + Cached in the same step, which also knows pages that no counter of the
 * kernel names (rings of io_uring); guest memory is in Cached and so not in it, the front-end's own pages are.
 * Both are system-wide and the machine has others: each round goes up and down, and the median of the rounds counts.
 */
#include "log.h"
#include "stand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 64 };

/* The sum of the lines "KEY: N kB" of a file whose keys are in the list; KiB. */
static double sum_of(const char *path, const char *const keys[])
{
        FILE *f = fopen(path, "re");
        char line[256], key[64];
        double sum = 0, value;

        while (f && fgets(line, sizeof(line), f)) {
                if (sscanf(line, "%63[^:]: %lf kB", key, &value) != 2)
                        continue;
                for (unsigned i = 0; keys[i]; i++)
                        if (!strcmp(key, keys[i]))
                                sum += value;
        }
        if (f)
                fclose(f);
        return sum;
}

static double kernel_now(void)
{
        static const char *const keys[] = { "Slab", "KernelStack", "PageTables", "SecPageTables", "Percpu", NULL };

        return sum_of("/proc/meminfo", keys);
}

/* Lower by what is in use, file and guest pages aside. */
static double free_now(void)
{
        static const char *const keys[] = { "MemFree", "Buffers", "Cached", NULL };

        return sum_of("/proc/meminfo", keys);
}

/* Namespaces and rings are freed behind their processes' backs, and nothing tells when: both readings come after 1 s. */
static void settle(void)
{
        const struct timespec time = { .tv_sec = 1 };

        nanosleep(&time, NULL);
}

static double private_of(const struct stand *stand, const char *name)
{
        static const char *const keys[] = { "Private_Clean", "Private_Dirty", NULL };
        pid_t pids[STAND_DEVICES];
        unsigned n = prog_find(stand->prog.pid, name, pids, STAND_DEVICES);
        double sum = 0;
        char path[64];

        for (unsigned i = 0; i < n; i++) {
                snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int) pids[i]);
                sum += sum_of(path, keys);
        }
        return n ? sum / n : 0;
}

struct result {
        double session, worker, kernel, all;
};

static int use_all(struct stand *stand)
{
        int r = 0;

        for (unsigned i = 0; i < stand->n && !r; i++)
                r = stand_use(stand, i);
        return r ? r : stand_await(stand, stand->n);
}

static int one_round(struct stand *stand, struct result *ret)
{
        double kernel, all;
        int r;

        settle();
        kernel = kernel_now();
        all = free_now();
        r = use_all(stand);
        if (r)
                return r;
        settle();
        ret->kernel = (kernel_now() - kernel) / stand->n;
        ret->all = (all - free_now()) / stand->n;
        ret->session = private_of(stand, "vhost-session");
        ret->worker = private_of(stand, "vhost-worker");
        for (unsigned i = 0; i < stand->n; i++)
                stand_leave(stand, i);
        return stand_await(stand, 0);
}

static int measure(struct stand *stand, unsigned rounds)
{
        double session[ROUNDS], worker[ROUNDS], kernel[ROUNDS], all[ROUNDS];
        struct result result;
        double median;
        int r = one_round(stand, &result); /* the kernel's caches fill: not counted */

        for (unsigned i = 0; i < rounds && !r; i++) {
                r = one_round(stand, &result);
                session[i] = result.session;
                worker[i] = result.worker;
                kernel[i] = result.kernel;
                all[i] = result.all;
        }
        if (r)
                return r;
        printf("an idle device, of %u, medians of %u rounds, KiB: private %.0f (session) + %.0f (worker); kernel's "
               "counters %.0f;",
               stand->n, rounds, stand_median(session, rounds), stand_median(worker, rounds),
               stand_median(kernel, rounds));
        median = stand_median(all, rounds);
        printf(" all in all by free memory %.0f (%.0f to %.0f)\n", median, all[0], all[rounds - 1]);
        return 0;
}

int main(int argc, char **argv)
{
        const char *engine = argc > 2 ? argv[2] : "uring";
        unsigned n = argc > 3 ? (unsigned) atoi(argv[3]) : 16;
        unsigned rounds = argc > 4 ? (unsigned) atoi(argv[4]) : 7;
        struct stand *stand = calloc(1, sizeof(*stand));
        int r;

        if (argc < 2 || !n || n > STAND_DEVICES || !rounds || rounds > ROUNDS || !stand) {
                fprintf(stderr, "device-memory BROKER [uring|sync] [DEVICES] [ROUNDS]\n");
                return 2;
        }
        r = stand_start(stand, argv[1], engine, n);
        if (!r)
                r = measure(stand, rounds);
        stand_stop(stand);
        if (r)
                fprintf(stderr, "device-memory: %s\n", log_errno(r));
        return r ? 1 : 0;
}
