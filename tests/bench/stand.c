/*
 * A broker for a measurement.
 */
#include "stand.h"

#include "drv_blk.h"
#include "fe_time.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void stand_socket(const struct stand *stand, unsigned i, char to[64])
{
        snprintf(to, 64, "%s/%u.sock", stand->dir, i);
}

static int write_device(const struct stand *stand, const char *engine, unsigned i)
{
        char path[80], socket[64];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%u.img", stand->dir, i);
        AUTO_FD image = { open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600) };
        if (image.num < 0 || ftruncate(image.num, 64 << 20))
                return -errno;
        stand_socket(stand, i, socket);
        snprintf(path, sizeof(path), "%s/conf/d%u.conf", stand->dir, i);
        f = fopen(path, "we");
        if (!f)
                return -errno;
        fprintf(f, "[Device]\nType=block\nSocket=%s\n[Block]\nPath=%s/%u.img\nQueues=4\nEngine=%s\n", socket,
                stand->dir, i, engine);
        return fclose(f) ? -errno : 0;
}

int stand_start(struct stand *stand, const char *broker, const char *engine, unsigned n)
{
        char path[64], *argv[] = { (char *) broker, "--config", path, "--control-socket=none", NULL };
        int r = 0;

        *stand = (struct stand){ .dir = "/tmp/vb-bench-XXXXXX", .n = n };
        if (!mkdtemp(stand->dir) || chmod(stand->dir, 0755))
                return -errno;
        snprintf(path, sizeof(path), "%s/conf", stand->dir);
        if (mkdir(path, 0755))
                return -errno;
        for (unsigned i = 0; i < n && !r; i++) {
                stand->device[i].conn = FE_CONN_NONE;
                r = write_device(stand, engine, i);
        }
        if (!r)
                r = prog_start(argv, &stand->prog);
        if (!r)
                r = prog_ready(&stand->prog, FE_TIMEOUT_MS);
        if (r && stand->prog.log)
                fputs(stand->prog.log, stderr);
        return r;
}

static int read_once(struct fe_device *device, unsigned queue)
{
        struct drv_blk blk;
        char sector[512];
        int r = drv_blk_init(&blk, device->vring[queue], 0, 1, sizeof(sector));

        if (!r)
                r = drv_blk_read(&blk, 0, sector, sizeof(sector));
        drv_blk_done(&blk);
        return r;
}

int stand_use(struct stand *stand, unsigned i)
{
        const struct fe_options options = { .queues = 4, .mem_bytes = 1 << 20 };
        char socket[64];
        int r;

        stand_socket(stand, i, socket);
        r = fe_device_start(socket, &options, &stand->device[i]);
        for (unsigned q = 0; q < 4 && !r; q++)
                r = read_once(&stand->device[i], q);
        return r;
}

void stand_leave(struct stand *stand, unsigned i)
{
        fe_device_drop(&stand->device[i]);
}

int stand_await(const struct stand *stand, unsigned n)
{
        const struct timespec tick = { .tv_nsec = 1000000 }; /* looks again: a grandchild's end is no event for us */
        long long deadline = fe_deadline(FE_TIMEOUT_MS);

        while (prog_find(stand->prog.pid, "vhost-worker", NULL, 0) != n ||
               prog_find(stand->prog.pid, "vhost-session", NULL, 0) != n) {
                if (!fe_left_ms(deadline))
                        return -ETIMEDOUT;
                nanosleep(&tick, NULL);
        }
        return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

void stand_stop(struct stand *stand)
{
        int status, ms;

        for (unsigned i = 0; i < stand->n; i++)
                if (fd_has(&stand->device[i].conn.fd))
                        stand_leave(stand, i);
        if (stand->prog.pid)
                prog_stop(&stand->prog, FE_TIMEOUT_MS, &status, &ms);
        nftw(stand->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int by_value(const void *a, const void *b)
{
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

double stand_median(double *values, unsigned n)
{
        qsort(values, n, sizeof(*values), by_value);
        return values[n / 2];
}
