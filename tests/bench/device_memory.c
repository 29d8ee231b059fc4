/*
 * What an idle device costs all in all: session and worker together, private pages and the kernel's share.
 *
 *   device-memory BROKER [uring|sync] [DEVICES] [ROUNDS]
 *
 * Private: Private_Clean + Private_Dirty of both, from /proc/PID/smaps_rollup.
 * Kernel, counted: the growth of Slab + KernelStack + PageTables + SecPageTables + Percpu (/proc/meminfo) from no
 * device to DEVICES devices, divided by them. All in all: the fall of MemFree + Buffers + Cached in the same step,
 * which also knows pages that no counter of the kernel names (rings of io_uring); guest memory is in Cached and so not
 * in it, the front-end's own pages are. Both are system-wide and the machine has others: each round goes up and down,
 * and the median of the rounds counts.
 */
#include "log.h"
#include "stand.h"

#include <errno.h>
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

static const char *const kernel_keys[] = { "Slab", "KernelStack", "PageTables", "SecPageTables", "Percpu" };

enum { KERNEL_KEYS = sizeof(kernel_keys) / sizeof(kernel_keys[0]) };

static void kernel_now(double to[KERNEL_KEYS])
{
        for (unsigned i = 0; i < KERNEL_KEYS; i++)
                to[i] = sum_of("/proc/meminfo", (const char *const[]){ kernel_keys[i], NULL });
}

/* Lower by what is in use, file and guest pages aside. */
static double free_now(void)
{
        static const char *const keys[] = { "MemFree", "Buffers", "Cached", NULL };

        return sum_of("/proc/meminfo", keys);
}

/* Namespaces and rings are freed behind their processes' backs, and nothing tells when: both readings come after 1 s.
 */
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

/* One row per round; a column per number, so that each has a median of its own. */
enum { SESSION, WORKER, ALL, KERNEL, COLUMNS = KERNEL + KERNEL_KEYS };

struct rounds {
        double of[COLUMNS][ROUNDS];
};

static int use_all(struct stand *stand)
{
        int r = 0;

        for (unsigned i = 0; i < stand->n && !r; i++)
                r = stand_use(stand, i);
        return r ? r : stand_await(stand, stand->n);
}

static int one_round(struct stand *stand, struct rounds *rounds, unsigned i)
{
        double before[KERNEL_KEYS], now[KERNEL_KEYS], all;
        int r;

        settle();
        kernel_now(before);
        all = free_now();
        r = use_all(stand);
        if (r)
                return r;
        settle();
        kernel_now(now);
        for (unsigned k = 0; k < KERNEL_KEYS; k++)
                rounds->of[KERNEL + k][i] = (now[k] - before[k]) / stand->n;
        rounds->of[ALL][i] = (all - free_now()) / stand->n;
        rounds->of[SESSION][i] = private_of(stand, "vhost-session");
        rounds->of[WORKER][i] = private_of(stand, "vhost-worker");
        for (unsigned d = 0; d < stand->n; d++)
                stand_leave(stand, d);
        return stand_await(stand, 0);
}

static void report(struct rounds *rounds, unsigned n)
{
        double sum = 0, median[COLUMNS];

        for (unsigned i = 0; i < COLUMNS; i++) {
                median[i] = stand_median(rounds->of[i], n);
                sum += i == ALL ? 0 : median[i];
        }
        printf("%.0f KiB: private %.0f (session) + %.0f (worker), kernel", sum, median[SESSION], median[WORKER]);
        for (unsigned i = 0; i < KERNEL_KEYS; i++)
                printf(" %s %.0f", kernel_keys[i], median[KERNEL + i]);
        printf("\nby free memory: %.0f KiB (%.0f to %.0f)\n", median[ALL], rounds->of[ALL][0], rounds->of[ALL][n - 1]);
}

struct bench {
        const char *broker, *engine;
        unsigned devices, rounds;
};

/* A broker of its own for each round: it keeps what a device's first connection has made. */
static int start_round(const struct bench *bench, struct rounds *rounds, unsigned i)
{
        struct stand *stand = calloc(1, sizeof(*stand));
        int r = stand ? stand_start(stand, bench->broker, bench->engine, bench->devices) : -ENOMEM;

        if (!r)
                r = one_round(stand, rounds, i);
        if (stand)
                stand_stop(stand);
        free(stand);
        return r;
}

static int measure(const struct bench *bench)
{
        struct rounds rounds;
        int r = start_round(bench, &rounds, 0); /* the kernel's caches fill: overwritten by the next */

        for (unsigned i = 0; i < bench->rounds && !r; i++)
                r = start_round(bench, &rounds, i);
        if (r)
                return r;
        printf("an idle device, of %u, medians of %u rounds: ", bench->devices, bench->rounds);
        report(&rounds, bench->rounds);
        return 0;
}

int main(int argc, char **argv)
{
        const struct bench bench = {
                .broker = argv[1],
                .engine = argc > 2 ? argv[2] : "uring",
                .devices = argc > 3 ? (unsigned) atoi(argv[3]) : 16,
                .rounds = argc > 4 ? (unsigned) atoi(argv[4]) : 7,
        };
        int r;

        if (argc < 2 || !bench.devices || bench.devices > STAND_DEVICES || !bench.rounds || bench.rounds > ROUNDS) {
                fprintf(stderr, "device-memory BROKER [uring|sync] [DEVICES] [ROUNDS]\n");
                return 2;
        }
        r = measure(&bench);
        if (r)
                fprintf(stderr, "device-memory: %s\n", log_errno(r));
        return r ? 1 : 0;
}
