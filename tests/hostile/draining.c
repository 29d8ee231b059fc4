/*
 * A disk that does not end a write, and the worker that submitted it is killed: nobody is given that disk before the
 * write has ended, whichever engine it came by; all others are served. With io_uring the worker is gone at once and its
 * I/O is not; with threads the kernel keeps the worker until then.
 */
#include "fuse_disk.h"
#include "neighbour.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BYTES = 4096, SECTOR = 8, QUIET_MS = 200, FIRST = 3 /* session; those before it were the rig's */ };

static const struct {
        const char *engine;
        const char *waits, *left; /* what is said of it meanwhile, and by a broker that ends */
} engines[] = {
        { .engine = "uring",
          .waits = "session 3: draining: I/O that its worker submitted has not ended",
          .left = "its disk has not ended all I/O: left" },
        { .engine = "sync",
          .waits = "session 3: does not end by itself: killed",
          .left = "its session does not end, something blocks it: left" },
};

struct stand {
        struct fuse_disk disk;
        struct rig rig;
        struct neighbour neighbour;
        uint8_t old[BYTES], late[BYTES], next[BYTES];
};

static bool have_disk(struct stand *s)
{
        char directory[RIG_PATH_MAX / 2];
        int r;

        snprintf(directory, sizeof(directory), "%s/slow", getenv("RIG_DIR"));
        ck_assert(mkdir(directory, 0755) == 0 || errno == EEXIST);
        r = fuse_disk_open(directory, &s->disk);
        if (r < 0)
                rig_left_out("disks that hang: this host lets no user serve FUSE files");
        return r == 0;
}

/* A write that does not end, and the end of its worker and its connection. */
static void kill_in_a_write(struct stand *s, int i)
{
        struct fe_device device;
        struct drv_blk blk;
        struct drv_blk_req *req;
        pid_t worker;

        s->rig = rig_start((struct rig_options){
                .disk = s->disk.path,
                .engine = engines[i].engine,
                .neighbour = true,
                .set = { "Block.Cache=none" },
        });
        memset(s->old, 0x11, BYTES);
        memset(s->late, 0x22, BYTES);
        memset(s->next, 0x33, BYTES);
        device = rig_device(&s->rig, (struct fe_options){ .queues = 1 });
        rig_await_up(&s->rig, FIRST);
        worker = rig_child(&s->rig, "vhost-worker");
        s->neighbour = neighbour_move_in(&s->rig);
        blk = rig_blk(&device, 0);
        OK(drv_blk_write(&blk, SECTOR, s->old, BYTES));
        OK(fuse_disk_hold(&s->disk));
        req = drv_blk_slot(&blk);
        ck_assert(req != NULL);
        memcpy(req->data.at, s->late, BYTES);
        OK(drv_blk_submit(&blk, req, VIRTIO_BLK_T_OUT, SECTOR, BYTES));
        drv_kick_anyway(device.vring[0]);
        OK(fuse_disk_await_held(&s->disk, FE_TIMEOUT_MS));
        ck_assert_int_eq(kill(worker, SIGKILL), 0);
        drv_blk_done(&blk);
        fe_device_drop(&device);
}

/* Whoever reads the disk then finds the late write there, and none comes over his own. */
static void check_disk(struct stand *s, struct fe_conn conn)
{
        struct fe_device device;
        struct drv_blk blk;
        uint8_t got[BYTES];

        OK(fe_device_start_on(conn, NULL, &device));
        blk = rig_blk(&device, 0);
        OK(drv_blk_read(&blk, SECTOR, got, BYTES));
        ck_assert_mem_eq(got, s->late, BYTES);
        OK(drv_blk_write(&blk, SECTOR, s->next, BYTES));
        OK(drv_blk_read(&blk, SECTOR, got, BYTES));
        ck_assert_mem_eq(got, s->next, BYTES);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}

START_TEST(the_next_worker_waits)
{
        struct stand s = { 0 };
        struct fe_reply reply;
        struct fe_conn conn;

        if (!have_disk(&s))
                return;
        kill_in_a_write(&s, _i);
        OK(fe_connect(s.rig.socket, FE_TIMEOUT_MS, &conn));
        OK(fe_send(&conn, VU_GET_FEATURES, NULL, 0));
        OK(prog_log_wait(&s.rig.prog, 0, engines[_i].waits, FE_TIMEOUT_MS));
        conn.timeout_ms = QUIET_MS;
        FAILS(-ETIMEDOUT, fe_recv(&conn, &reply));
        neighbour_look_in(&s.neighbour);
        OK(fuse_disk_release(&s.disk));
        conn.timeout_ms = FE_TIMEOUT_MS;
        OK(fe_recv_reply(&conn, VU_GET_FEATURES, &reply));
        check_disk(&s, conn);
        neighbour_move_out(&s.neighbour);
        rig_await_idle(&s.rig);
        fuse_disk_done(&s.disk);
        rig_stop(&s.rig);
}
END_TEST

/* It ends in its time all the same, and says what it leaves. */
START_TEST(the_broker_does_not)
{
        struct stand s = { 0 };
        int status = 0, ms;

        if (!have_disk(&s))
                return;
        kill_in_a_write(&s, _i);
        neighbour_move_out(&s.neighbour);
        OK(prog_log_wait(&s.rig.prog, 0, engines[_i].waits, FE_TIMEOUT_MS));
        ck_assert_int_eq(kill(s.rig.prog.pid, SIGTERM), 0);
        OK(prog_end(&s.rig.prog, 3 * RIG_STOP_MS, &status));
        ck_assert_int_eq(status, 0);
        ck_assert_msg(strstr(s.rig.prog.log, engines[_i].left), "not said: %s\n%s", engines[_i].left, s.rig.prog.log);
        fuse_disk_done(&s.disk);
        OK(prog_stop(&s.rig.prog, RIG_STOP_MS, &status, &ms));
}
END_TEST

int main(void)
{
        Suite *s = suite_create("draining");
        TCase *c = tcase_create("draining");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, the_next_worker_waits, 0, 2);
        tcase_add_loop_test(c, the_broker_does_not, 0, 2);
        suite_add_tcase(s, c);
        return rig_main(s);
}
