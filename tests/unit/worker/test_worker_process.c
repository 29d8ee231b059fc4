/*
 * The real vhost-worker, under its real filters, with each engine.
 */
#include "rig.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DISK = 8 << 20 };

static const enum ipc_engine engines[] = { IPC_ENGINE_URING, IPC_ENGINE_SYNC };

static int disk_make(void)
{
        const char *dir = getenv("TMPDIR");
        int fd = open(dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, DISK), 0);
        return fd;
}

static void fill(uint8_t *bytes, size_t n, uint8_t seed)
{
        for (size_t i = 0; i < n; i++)
                bytes[i] = (uint8_t) (seed + i * 7 + i / 256);
}

START_TEST(reads_what_was_written)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        uint8_t out[8192], in[8192];
        int disk = disk_make();
        struct rig rig;

        rig_init(&rig, &device, disk);
        ck_assert_uint_eq(rig.ready.engine, engines[_i]);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        for (unsigned i = 0; i < 64; i++) {
                fill(out, sizeof(out), (uint8_t) i);
                ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_OUT, i * 16, out, sizeof(out)), VIRTIO_BLK_S_OK);
                ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, 1);
        }
        ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
        for (unsigned i = 0; i < 64; i++) {
                fill(out, sizeof(out), (uint8_t) i);
                ck_assert_uint_eq(rig_blk(&rig, 0, VIRTIO_BLK_T_IN, i * 16, in, sizeof(in)), VIRTIO_BLK_S_OK);
                ck_assert_uint_eq(rig_used(&rig.ring[0], 0).len, sizeof(in) + 1);
                ck_assert_mem_eq(in, out, sizeof(in));
        }
        ck_assert_uint_eq(rig_ring_stop(&rig, 0), 129);
        rig_done(&rig);
        close(disk);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: the program");
        TCase *tcase = tcase_create("process");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, reads_what_was_written, 0, 2);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
