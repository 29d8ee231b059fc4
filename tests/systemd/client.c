/*
 * A front-end for the tests in the guest, in one program without libraries:
 *
 *   client SOCKET once   writes the disk's second sector, reads it back, leaves
 *   client SOCKET hold   the same, says "up", stays until the back-end hangs up, and says "gone"
 *   client SOCKET PID    kills that broker under load, comes back at once, and says after how long all went on
 *
 * Exit status 0 only if all of that worked.
 */
#include "drv_blk.h"
#include "fe_device.h"
#include "log.h"
#include "outlive.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 60000 }; /* the first connection starts a unit, and the guest is emulated */

/* 0, or what went wrong first: -errno, or a status byte. */
static int use_disk(struct fe_device *device)
{
        uint8_t out[512], in[512];
        struct drv_blk blk;
        int r = drv_blk_init(&blk, device->vring[0], 0, 1, sizeof(in));

        if (r < 0)
                return r;
        memset(out, 0x5a, sizeof(out));
        r = drv_blk_write(&blk, 1, out, sizeof(out));
        if (r == 0)
                r = drv_blk_flush(&blk);
        if (r == 0)
                r = drv_blk_read(&blk, 1, in, sizeof(in));
        if (r == 0 && memcmp(out, in, sizeof(in)) != 0)
                r = -EIO;
        drv_blk_done(&blk);
        return r;
}

static void hold(struct fe_device *device)
{
        struct pollfd hangup = { .fd = device->conn.fd.num };

        puts("up");
        fflush(stdout);
        if (poll(&hangup, 1, -1) < 0)
                err(1, "poll");
        puts("gone");
        fe_device_drop(device);
}

static void outlive_broker(struct fe_device *device, const char *socket, const char *pid)
{
        int ms, r = outlive(device, socket, (pid_t) strtol(pid, NULL, 10), PATIENCE_MS, &ms);

        if (r < 0)
                errx(1, "%s: killing broker %s: %s", socket, pid, log_errno(r));
        printf("outlived %d ms\n", ms);
}

int main(int argc, char **argv)
{
        struct fe_device device;
        struct fe_conn conn;
        int r;

        if (argc != 3)
                errx(2, "usage: client SOCKET once|hold|PID");
        r = fe_connect(argv[1], PATIENCE_MS, &conn);
        if (r == 0) {
                conn.timeout_ms = PATIENCE_MS;
                r = fe_device_start_on(conn, NULL, &device);
        }
        if (r < 0)
                errx(1, "%s: not served: %s", argv[1], log_errno(r));
        r = use_disk(&device);
        if (r != 0)
                errx(1, "%s: the disk does not work: %s", argv[1], r < 0 ? log_errno(r) : "its status byte says no");
        if (strcmp(argv[2], "hold") == 0) {
                hold(&device);
                return EXIT_SUCCESS;
        }
        if (strcmp(argv[2], "once") != 0)
                outlive_broker(&device, argv[1], argv[2]);
        r = fe_device_stop(&device);
        if (r < 0)
                errx(1, "%s: leaving: %s", argv[1], log_errno(r));
        puts("done");
        return EXIT_SUCCESS;
}
