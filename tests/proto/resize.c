/*
 * A disk that changes its size while a guest uses it: SIGHUP, CONFIG_CHANGE_MSG on the back-end channel, and what can
 * be read and written then.
 */
#include "rig.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { MIB = 1 << 20, SECTOR = 512 };

static const char *const engines[] = { "sync", "uring" };

static uint64_t capacity(struct fe_conn *conn)
{
        uint64_t sectors;

        OK(fe_get_config(conn, 0, &sectors, sizeof(sectors)));
        return le64toh(sectors) * SECTOR;
}

/* The file gets the size, its new part the pattern; nobody is told. */
static void set_size(const struct rig *rig, uint64_t bytes)
{
        AUTO_FD disk = { open(rig->disk, O_RDWR | O_CLOEXEC) };
        uint8_t block[SECTOR];
        off_t before;

        ck_assert_int_ge(disk.num, 0);
        before = lseek(disk.num, 0, SEEK_END);
        ck_assert_int_eq(ftruncate(disk.num, (off_t) bytes), 0);
        for (uint64_t at = (uint64_t) before; at < bytes; at += sizeof(block)) {
                rig_pattern(at, block, sizeof(block));
                ck_assert_int_eq(pwrite(disk.num, block, sizeof(block), (off_t) at), sizeof(block));
        }
}

static void reload(const struct rig *rig)
{
        ck_assert_int_eq(kill(rig->prog.pid, SIGHUP), 0);
}

/* One message, as the standard has it: no payload, no reply wanted. */
static void hear_change(struct fe_conn *channel)
{
        struct fe_reply message;

        OK(fe_recv(channel, &message));
        ck_assert_uint_eq(message.header.request, VU_BACKEND_CONFIG_CHANGE_MSG);
        ck_assert_uint_eq(message.header.flags, VU_VERSION);
        ck_assert_uint_eq(message.header.size, 0);
        fe_reply_done(&message);
}

static void resize(const struct rig *rig, struct fe_conn *channel, uint64_t bytes)
{
        set_size(rig, bytes);
        reload(rig);
        hear_change(channel);
}

static void read_at(const struct rig *rig, struct drv_blk *blk, uint64_t offset)
{
        uint8_t got[SECTOR], want[SECTOR];

        OK(drv_blk_read(blk, offset / SECTOR, got, sizeof(got)));
        rig_read_disk(rig, offset, want, sizeof(want));
        ck_assert_mem_eq(got, want, sizeof(want));
}

START_TEST(grows_and_shrinks)
{
        uint8_t data[SECTOR], got[SECTOR];
        RIG_WITH(rig, .engine = engines[_i]);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct fe_conn channel;

        OK(fe_set_backend_req_fd(&device.conn, &channel));
        ck_assert_uint_eq(capacity(&device.conn), RIG_DISK_BYTES);
        ck_assert_int_eq(drv_blk_read(&blk, RIG_DISK_BYTES / SECTOR, got, SECTOR), VIRTIO_BLK_S_IOERR);

        resize(&rig, &channel, RIG_DISK_BYTES + 4 * MIB);
        ck_assert_uint_eq(capacity(&device.conn), RIG_DISK_BYTES + 4 * MIB);
        read_at(&rig, &blk, RIG_DISK_BYTES + MIB);
        memset(data, 0x5a, sizeof(data));
        OK(drv_blk_write(&blk, (RIG_DISK_BYTES + 3 * MIB) / SECTOR, data, sizeof(data)));
        rig_read_disk(&rig, RIG_DISK_BYTES + 3 * MIB, got, sizeof(got));
        ck_assert_mem_eq(got, data, sizeof(data));
        ck_assert_int_eq(drv_blk_read(&blk, (RIG_DISK_BYTES + 4 * MIB) / SECTOR, got, SECTOR), VIRTIO_BLK_S_IOERR);

        resize(&rig, &channel, RIG_DISK_BYTES / 2);
        ck_assert_uint_eq(capacity(&device.conn), RIG_DISK_BYTES / 2);
        read_at(&rig, &blk, RIG_DISK_BYTES / 2 - SECTOR);
        ck_assert_int_eq(drv_blk_read(&blk, RIG_DISK_BYTES / 2 / SECTOR, got, SECTOR), VIRTIO_BLK_S_IOERR);
        ck_assert_int_eq(drv_blk_write(&blk, RIG_DISK_BYTES / SECTOR, data, SECTOR), VIRTIO_BLK_S_IOERR);

        resize(&rig, &channel, RIG_DISK_BYTES);
        read_at(&rig, &blk, RIG_DISK_BYTES - SECTOR);
        fe_close(&channel);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* Requests go on meanwhile; the same size and a rest of a block are no news. */
START_TEST(under_load)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });
        struct drv_blk blk = rig_blk(&device, 1);
        struct fe_conn channel;

        OK(fe_set_backend_req_fd(&device.conn, &channel));
        for (uint64_t i = 1; i <= 8; i++) {
                reload(&rig); /* no news */
                set_size(&rig, RIG_DISK_BYTES + i * MIB);
                reload(&rig);
                for (unsigned n = 0; n < 50; n++)
                        rig_read_one(&rig, &blk);
                hear_change(&channel);
                ck_assert_uint_eq(capacity(&device.conn), RIG_DISK_BYTES + i * MIB);
        }
        rig_quiet(&device.conn);
        channel.timeout_ms = 0;
        FAILS(-ETIMEDOUT, fe_recv(&channel, &(struct fe_reply){ 0 }));
        fe_close(&channel);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* A front-end without a channel hears nothing, and finds the size when it asks. */
START_TEST(quiet_without_channel)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        long long deadline = fe_deadline(FE_TIMEOUT_MS);

        set_size(&rig, RIG_DISK_BYTES + MIB);
        reload(&rig);
        OK(prog_log_wait(&rig.prog, 0, "17825792 bytes now, 16777216 before", FE_TIMEOUT_MS));
        while (capacity(&device.conn) != RIG_DISK_BYTES + MIB)
                ck_assert(fe_left_ms(deadline));
        rig_quiet(&device.conn);
        read_at(&rig, &blk, RIG_DISK_BYTES);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* Nobody is connected: the next one sees it, and may write to all of it. */
START_TEST(before_a_connection)
{
        static const uint8_t data[SECTOR] = { 1 };
        RIG(rig);
        struct fe_device device;
        struct drv_blk blk;

        set_size(&rig, RIG_DISK_BYTES + MIB);
        reload(&rig);
        OK(prog_log_wait(&rig.prog, 0, "17825792 bytes now, 16777216 before", FE_TIMEOUT_MS));
        device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        blk = rig_blk(&device, 0);
        ck_assert_uint_eq(capacity(&device.conn), RIG_DISK_BYTES + MIB);
        OK(drv_blk_write(&blk, (RIG_DISK_BYTES + MIB) / SECTOR - 1, data, sizeof(data)));
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* A disk that is empty now is a mistake: the guest keeps what it knows. */
START_TEST(to_nothing)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);

        set_size(&rig, 100);
        reload(&rig);
        OK(prog_log_wait(&rig.prog, 0, "less than a block is left", FE_TIMEOUT_MS));
        ck_assert_uint_eq(capacity(&device.conn), RIG_DISK_BYTES);
        set_size(&rig, RIG_DISK_BYTES);
        read_at(&rig, &blk, RIG_DISK_BYTES - SECTOR);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

int main(void)
{
        Suite *s = suite_create("resize");
        TCase *c = tcase_create("resize");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, grows_and_shrinks, 0, 2);
        tcase_add_test(c, under_load);
        tcase_add_test(c, quiet_without_channel);
        tcase_add_test(c, before_a_connection);
        tcase_add_test(c, to_nothing);
        suite_add_tcase(s, c);
        return rig_main(s);
}
