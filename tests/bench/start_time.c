/*
 * How long a front-end waits for its device: from connect(2) to the reply to its first GET_FEATURES, which needs a
 * session and a worker, both spawned and confined for this connection. Each connection finds the device idle.
 *
 *   start-time BROKER [uring|sync] [CONNECTIONS]
 */
#include "fe_time.h"
#include "log.h"
#include "stand.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST = 10000 };

static int one(const struct stand *stand, double *ret_ms)
{
        struct fe_conn conn;
        long long from;
        char socket[64];
        uint64_t features;
        int r;

        stand_socket(stand, 0, socket);
        from = fe_now_ns();
        r = fe_connect(socket, FE_TIMEOUT_MS, &conn);
        if (r)
                return r;
        r = fe_get_features(&conn, &features);
        *ret_ms = (fe_now_ns() - from) / 1e6;
        fe_close(&conn);
        return r ? r : stand_await(stand, 0);
}

/*
 * The device is idle again when the broker holds no more than long after a connection: its children's ends are noted,
 * and their fence, which falls when the kernel has freed the rings, is closed. No event tells when that is, so it
 * waits a second before it counts, outside of what is measured.
 */
static int measure(const struct stand *stand, double *ms, unsigned n)
{
        const struct timespec long_after = { .tv_sec = 1 };
        int r = one(stand, ms), fds;

        nanosleep(&long_after, NULL);
        fds = prog_count_fds(stand->prog.pid);
        for (unsigned i = 0; i < n && !r; i++) {
                r = one(stand, &ms[i]);
                if (!r)
                        r = prog_await_fds(stand->prog.pid, fds, FE_TIMEOUT_MS);
        }
        return r;
}

int main(int argc, char **argv)
{
        const char *engine = argc > 2 ? argv[2] : "uring";
        unsigned n = argc > 3 ? (unsigned) atoi(argv[3]) : 200;
        double *ms = calloc(MOST, sizeof(*ms)), median;
        struct stand *stand = calloc(1, sizeof(*stand));
        int r;

        if (argc < 2 || !n || n > MOST || !ms || !stand) {
                fprintf(stderr, "start-time BROKER [uring|sync] [CONNECTIONS]\n");
                return 2;
        }
        r = stand_start(stand, argv[1], engine, 1);
        if (!r)
                r = measure(stand, ms, n);
        stand_stop(stand);
        if (r) {
                fprintf(stderr, "start-time: %s\n", log_errno(r));
                return 1;
        }
        median = stand_median(ms, n);
        printf("connect to first reply, %s, %u connections: median %.2f ms, p90 %.2f ms, max %.2f ms\n", engine, n,
               median, ms[n * 9 / 10], ms[n - 1]);
        return 0;
}
