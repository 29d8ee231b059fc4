/*
 * The real vhost-worker, under its real filters: its life, its packets, its vrings.
 */
#include "rig.h"

#include "array.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DISK = 8 << 20 };

static const enum ipc_engine engines[] = { IPC_ENGINE_URING, IPC_ENGINE_SYNC, IPC_ENGINE_NULL };

/* A host that has no io_uring for us, in the way of kernel.io_uring_disabled. */
static void run_without_uring(void)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { ARRAY_SIZE(code), code };
        char *const argv[] = { "vhost-worker", NULL }, *const envp[] = { NULL };

        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
                execve(getenv("VHOST_WORKER"), argv, envp);
        _exit(127);
}

/* A running worker with ring 0 started. */
static void up(struct rig *rig, enum ipc_engine engine, int disk)
{
        struct ipc_device device = rig_device(engine, DISK);

        rig_init(rig, &device, disk);
        rig_configure(rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(rig, 0, false), 0);
}

static uint8_t read_512(struct rig *rig, unsigned ring)
{
        uint8_t bytes[512];

        return rig_blk(rig, ring, VIRTIO_BLK_T_IN, 0, bytes, sizeof(bytes));
}

START_TEST(says_ready_with_the_engine_it_runs)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        struct virtio_blk_config config;
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        rig_init(&rig, &device, disk);
        memcpy(&config, rig.ready.config, sizeof(config));
        ck_assert_uint_eq(rig.ready.engine, engines[_i]);
        ck_assert_uint_eq(rig.ready.device, VIRTIO_ID_BLOCK);
        ck_assert_uint_eq(rig.ready.queues, RIG_QUEUES);
        ck_assert_uint_eq(rig.ready.config_size, sizeof(config));
        ck_assert_uint_eq(le64toh(config.capacity), DISK / 512);
        ck_assert_uint_eq(le16toh(config.num_queues), RIG_QUEUES);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(auto_takes_sync_where_io_uring_is_refused)
{
        struct ipc_device device = rig_device(IPC_ENGINE_AUTO, DISK);
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        rig_init_own(&rig, &device, disk, run_without_uring);
        ck_assert_uint_eq(rig.ready.engine, IPC_ENGINE_SYNC);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(answers_pings_whatever_its_loops)
{
        struct ipc_device device = rig_device(engines[_i], DISK);
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        device.threads = 4;
        rig_init(&rig, &device, disk);
        for (unsigned i = 0; i < 100; i++)
                ck_assert_int_eq(rig_ask(&rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(ends_when_the_session_breaks_the_rules)
{
        static const uint16_t wrong[] = { 0, IPC_DEVICE, IPC_READY, IPC_LOG, IPC_TYPES, 0xffff };
        struct ipc_device device = rig_device(IPC_ENGINE_NULL, DISK);
        struct packet packet;
        struct rig rig;
        int status;

        rig_init(&rig, &device, -1);
        ck_assert_int_eq(packet_send(rig.channel, wrong[_i], 1, &device, sizeof(device), NULL, 0), 0);
        ck_assert_int_eq(waitpid(rig.worker, &status, 0), rig.worker);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        while (packet_recv(rig.channel, 0, &packet) == 0)
                ck_assert_uint_eq(packet.header.type, IPC_WORKER_LOG);
        rig_forget(&rig);
}
END_TEST

/* A session that ends with its front-end may leave questions behind: that is no fault of anybody. */
START_TEST(ends_well_when_nobody_waits_for_its_answer)
{
        struct ipc_device device = rig_device(IPC_ENGINE_NULL, DISK);
        struct rig rig;
        int status;

        rig_init(&rig, &device, -1);
        ck_assert_int_eq(kill(rig.worker, SIGSTOP), 0);
        ck_assert_int_eq(waitpid(rig.worker, &status, WUNTRACED), rig.worker);
        ck_assert_int_eq(packet_send(rig.channel, IPC_PING, 1, NULL, 0, NULL, 0), 0);
        close(rig.channel);
        ck_assert_int_eq(kill(rig.worker, SIGCONT), 0);
        ck_assert_int_eq(waitpid(rig.worker, &status, 0), rig.worker);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        rig.channel = -1;
        rig_forget(&rig);
}
END_TEST

START_TEST(a_disabled_vring_leaves_requests_alone)
{
        struct ipc_vring_enable off = { 0, 0 }, on = { 0, 1 };
        const struct rig_part parts[] = { { RIG_GPA + RIG_DATA, 16, false }, { RIG_GPA + RIG_DATA + 16, 1, true } };
        struct virtio_blk_header flush = { .type = htole32(VIRTIO_BLK_T_FLUSH) };
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        up(&rig, engines[_i], disk);
        ck_assert_int_eq(rig_ask(&rig, IPC_VRING_ENABLE, &off, sizeof(off), NULL, 0, NULL), 0);
        memcpy(rig_at(&rig, RIG_GPA + RIG_DATA), &flush, sizeof(flush));
        rig_write_chain(&rig.ring[0], 0, parts, 2);
        rig_offer(&rig.ring[0], 0);
        rig_kick(&rig.ring[0]);
        ck_assert_int_eq(rig_ask(&rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0);
        ck_assert_uint_eq(rig.ring[0].used->idx, 0);
        ck_assert_int_eq(rig_ask(&rig, IPC_VRING_ENABLE, &on, sizeof(on), NULL, 0, NULL), 0);
        rig_wait_used(&rig.ring[0], 1); /* without another kick */
        ck_assert_uint_eq(rig_ring_stop(&rig, 0), 1);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(stopping_what_never_started_returns_its_base)
{
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        up(&rig, engines[_i], disk);
        ck_assert_uint_eq(rig_ring_stop(&rig, 1), 0);
        for (unsigned i = 0; i < 3; i++)
                ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(rig_ring_stop(&rig, 0), 3);
        ck_assert_uint_eq(rig_ring_stop(&rig, 0), 3);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), -EBUSY);
        ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(a_reset_forgets_all_but_memory)
{
        struct ipc_features features = { .acked = RIG_ACKED };
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        up(&rig, engines[_i], disk);
        ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        ck_assert_int_eq(rig_ask(&rig, IPC_RESET, NULL, 0, NULL, 0, NULL), 0);
        ck_assert_int_eq(rig_ask(&rig, IPC_FEATURES, &features, sizeof(features), NULL, 0, NULL), 0);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(descriptors_change_while_it_runs)
{
        struct ipc_vring_fd_change call = { 0, IPC_CALL }, kick = { 0, IPC_KICK };
        int disk = rig_disk(DISK, 0), new_call, new_kick[2];
        struct rig rig;
        uint64_t count;

        up(&rig, engines[_i], disk);
        new_call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        ck_assert_int_eq(rig_ask(&rig, IPC_VRING_FD, &call, sizeof(call), &new_call, 1, NULL), 0);
        close(rig.ring[0].call);
        rig.ring[0].call = new_call;
        rig_wait_call(&rig.ring[0]); /* a new call is signalled once */
        ck_assert_int_eq(read(new_call, &count, sizeof(count)), sizeof(count));
        ck_assert_int_eq(pipe2(new_kick, O_CLOEXEC | O_NONBLOCK), 0);
        ck_assert_int_eq(rig_ask(&rig, IPC_VRING_FD, &kick, sizeof(kick), &new_kick[0], 1, NULL), 0);
        close(rig.ring[0].kick);
        rig.ring[0].kick = new_kick[1];
        close(new_kick[0]);
        for (unsigned i = 0; i < 10000; i++) /* more than a pipe holds: it must be read empty */
                ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* A call may be a socket that nobody reads: that blocks no one, and a closed one kills no one. */
START_TEST(a_call_may_be_a_full_or_closed_socket)
{
        struct ipc_vring_fd_change call = { 0, IPC_CALL };
        int disk = rig_disk(DISK, 0), pair[2];
        char bytes[4096];
        struct rig rig;

        up(&rig, engines[_i], disk);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        memset(bytes, 0, sizeof(bytes));
        while (send(pair[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
        ck_assert_int_eq(rig_ask(&rig, IPC_VRING_FD, &call, sizeof(call), &pair[0], 1, NULL), 0);
        for (unsigned i = 0; i < 10; i++)
                rig_blk_polled(&rig, 0);
        close(pair[1]);
        for (unsigned i = 0; i < 10; i++)
                rig_blk_polled(&rig, 0);
        close(pair[0]);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(a_vring_without_kick_is_polled)
{
        struct ipc_vring_fd_change kick = { 0, IPC_KICK };
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        up(&rig, engines[_i], disk);
        ck_assert_int_eq(rig_ask(&rig, IPC_VRING_FD, &kick, sizeof(kick), NULL, 0, NULL), 0);
        for (unsigned i = 0; i < 10; i++)
                ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(memory_comes_and_goes_under_a_running_vring)
{
        struct ipc_region_add add = { .slot = 7, .region = { 0x1000, 0x5000, 1 << 20, 4096 + 512 } };
        struct ipc_region_del del = { .slot = 7 }, first = { .slot = 0 };
        int disk = rig_disk(DISK, 0);
        uint64_t count;
        struct rig rig;

        up(&rig, engines[_i], disk);
        for (unsigned i = 0; i < 20; i++) {
                ck_assert_int_eq(rig_ask(&rig, IPC_REGION_ADD, &add, sizeof(add), &rig.memory, 1, NULL), 0);
                ck_assert_int_eq(rig_ask(&rig, IPC_REGION_ADD, &add, sizeof(add), &rig.memory, 1, NULL), -EEXIST);
                ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
                ck_assert_int_eq(rig_ask(&rig, IPC_REGION_DEL, &del, sizeof(del), NULL, 0, NULL), 0);
                ck_assert_int_eq(rig_ask(&rig, IPC_REGION_DEL, &del, sizeof(del), NULL, 0, NULL), -ENOENT);
        }
        ck_assert_int_eq(rig_ask(&rig, IPC_REGION_DEL, &first, sizeof(first), NULL, 0, NULL), 0);
        rig_until_broken(&rig, 0);
        ck_assert_int_eq(read(rig.ring[0].err, &count, sizeof(count)), sizeof(count));
        ck_assert_uint_eq(rig_ring_stop(&rig, 0), 20);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(a_refused_memory_table_leaves_the_old_one)
{
        struct ipc_mem_table table = { .n = 2 };
        int disk = rig_disk(DISK, 0), fds[2];
        struct rig rig;

        up(&rig, engines[_i], disk);
        fds[0] = fds[1] = rig.memory;
        table.region[0] = (struct ipc_region){ 0, 0, 4096, 0 };
        table.region[1] = (struct ipc_region){ 4096, 4096, RIG_MEMORY, 4096 }; /* beyond the file's end */
        ck_assert_int_eq(rig_ask(&rig, IPC_MEM_TABLE, &table, sizeof(table), fds, 2, NULL), -EINVAL);
        ck_assert_int_eq(rig_ask(&rig, IPC_MEM_TABLE, &table, sizeof(table), fds, 1, NULL), -EINVAL);
        ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

static int resize(struct rig *rig, uint64_t capacity)
{
        const struct ipc_resize what = { .capacity = capacity };

        return rig_ask(rig, IPC_RESIZE, &what, sizeof(what), NULL, 0, NULL);
}

static uint8_t read_at(struct rig *rig, uint64_t sector)
{
        uint8_t bytes[512];

        return rig_blk(rig, 0, VIRTIO_BLK_T_IN, sector, bytes, sizeof(bytes));
}

START_TEST(the_disk_gets_another_size)
{
        int disk = rig_disk(2 * DISK, 0);
        struct rig rig;
        uint64_t sectors;

        up(&rig, engines[_i], disk);
        ck_assert_uint_eq(read_at(&rig, DISK / 512), VIRTIO_BLK_S_IOERR);
        ck_assert_int_eq(resize(&rig, 2 * DISK), 0);
        ck_assert_uint_eq(rig.configs, 1);
        ck_assert_uint_eq(rig.config.notify, 1);
        memcpy(&sectors, rig.config.bytes, sizeof(sectors));
        ck_assert_uint_eq(le64toh(sectors), 2 * DISK / 512);
        ck_assert_mem_eq(rig.config.bytes + 8, rig.ready.config + 8, sizeof(rig.ready.config) - 8);
        ck_assert_uint_eq(read_at(&rig, 2 * DISK / 512 - 1), VIRTIO_BLK_S_OK);
        ck_assert_uint_eq(read_at(&rig, 2 * DISK / 512), VIRTIO_BLK_S_IOERR);

        ck_assert_int_eq(resize(&rig, 0), -EINVAL);
        ck_assert_int_eq(resize(&rig, 2 * DISK + 1), -EINVAL);
        ck_assert_int_eq(resize(&rig, UINT64_MAX - 511), -EINVAL);
        ck_assert_uint_eq(rig.configs, 1);
        ck_assert_uint_eq(read_at(&rig, 2 * DISK / 512 - 1), VIRTIO_BLK_S_OK);

        ck_assert_int_eq(resize(&rig, DISK / 2), 0);
        ck_assert_uint_eq(rig.configs, 2);
        ck_assert_uint_eq(read_at(&rig, DISK / 512 - 1), VIRTIO_BLK_S_IOERR);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(the_writeback_byte_is_all_that_can_be_written)
{
        struct ipc_set_config config = { .offset = 32, .size = 1, .bytes = { 0 } };
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        up(&rig, engines[_i], disk);
        ck_assert_int_eq(rig_ask(&rig, IPC_SET_CONFIG, &config, sizeof(config), NULL, 0, NULL), 0);
        ck_assert_uint_eq(rig.configs, 1);
        ck_assert_uint_eq(rig.config.bytes[32], 0);
        config.bytes[0] = 2;
        ck_assert_int_eq(rig_ask(&rig, IPC_SET_CONFIG, &config, sizeof(config), NULL, 0, NULL), -EINVAL);
        config = (struct ipc_set_config){ .offset = 0, .size = 60 };
        memcpy(config.bytes, rig.ready.config, 60);
        ck_assert_int_eq(rig_ask(&rig, IPC_SET_CONFIG, &config, sizeof(config), NULL, 0, NULL), 0);
        config.bytes[0] ^= 1;
        ck_assert_int_eq(rig_ask(&rig, IPC_SET_CONFIG, &config, sizeof(config), NULL, 0, NULL), -EINVAL);
        ck_assert_uint_eq(rig.configs, 2);
        ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

/* What a front-end tells once is in its area, and counts for the worker that gets the area next. */
START_TEST(the_cache_mode_is_in_the_area)
{
        struct ipc_set_config config = { .offset = 32, .size = 1, .bytes = { 0 } };
        struct ipc_device device = rig_device(engines[_i], DISK);
        const uint64_t *mode;
        int disk = rig_disk(DISK, 0);
        struct rig rig;

        up(&rig, engines[_i], disk);
        mode = (const void *) rig.guest_area;
        ck_assert_uint_eq(*mode, 0);
        ck_assert_int_eq(rig_ask(&rig, IPC_SET_CONFIG, &config, sizeof(config), NULL, 0, NULL), 0);
        ck_assert_uint_eq(*mode, 1);
        config.bytes[0] = 1;
        ck_assert_int_eq(rig_ask(&rig, IPC_SET_CONFIG, &config, sizeof(config), NULL, 0, NULL), 0);
        ck_assert_uint_eq(*mode, 0);
        rig_done(&rig);

        rig_init(&rig, &device, disk);
        config.bytes[0] = 0; /* before there is an area */
        ck_assert_int_eq(rig_ask(&rig, IPC_SET_CONFIG, &config, sizeof(config), NULL, 0, NULL), 0);
        rig_configure(&rig, RIG_ACKED);
        mode = (const void *) rig.guest_area;
        ck_assert_uint_eq(*mode, 1);
        ck_assert_uint_eq(rig.configs, 1);
        rig_done(&rig);

        rig_init(&rig, &device, disk);
        *(uint64_t *) (void *) rig.guest_area = UINT64_MAX; /* of what no worker ever wrote, the rest is nothing */
        rig_configure(&rig, RIG_ACKED);
        ck_assert_uint_eq(rig.configs, 1);
        ck_assert_uint_eq(rig.config.bytes[32], 0);
        ck_assert_uint_eq(*(const uint64_t *) (const void *) rig.guest_area, 1);
        ck_assert_int_eq(rig_ring_start(&rig, 0, false), 0);
        ck_assert_uint_eq(*(const uint64_t *) (const void *) rig.guest_area, 1);
        ck_assert_uint_eq(read_512(&rig, 0), VIRTIO_BLK_S_OK);
        rig_done(&rig);
        close(disk);
}
END_TEST

START_TEST(wrong_vrings_are_refused)
{
        static const struct ipc_vring_start wrong[] = {
                { .index = RIG_QUEUES, .size = 128, .desc = RIG_UVA, .avail = RIG_UVA, .used = RIG_UVA },
                { .index = 256, .size = 128, .desc = RIG_UVA, .avail = RIG_UVA, .used = RIG_UVA },
                { .index = 1, .size = 0, .desc = RIG_UVA, .avail = RIG_UVA, .used = RIG_UVA },
                { .index = 1, .size = 100, .desc = RIG_UVA, .avail = RIG_UVA, .used = RIG_UVA },
                { .index = 1, .size = 2048, .desc = RIG_UVA, .avail = RIG_UVA, .used = RIG_UVA },
                { .index = 1, .size = 256, .desc = RIG_UVA, .avail = RIG_UVA, .used = RIG_UVA }, /* area: 128 */
                { .index = 1, .size = 128, .desc = RIG_UVA + 8, .avail = RIG_UVA, .used = RIG_UVA },
                { .index = 1, .size = 128, .desc = RIG_UVA, .avail = RIG_UVA + 1, .used = RIG_UVA },
                { .index = 1, .size = 128, .desc = RIG_UVA, .avail = RIG_UVA, .used = RIG_UVA + 2 },
                { .index = 1, .size = 128, .desc = RIG_UVA + RIG_MEMORY / 2 - 16, .avail = RIG_UVA, .used = RIG_UVA },
                { .index = 1, .size = 128, .desc = RIG_UVA, .avail = RIG_GPA, .used = RIG_UVA },
                { .index = 1, .size = 128, .desc = RIG_UVA, .avail = RIG_UVA, .used = UINT64_MAX - 3 },
        };
        struct rig rig;

        up(&rig, IPC_ENGINE_NULL, -1);
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                ck_assert_int_lt(rig_ask(&rig, IPC_VRING_START, &wrong[i], sizeof(wrong[i]), NULL, 0, NULL), 0);
        ck_assert_int_eq(rig_ring_start(&rig, 1, false), 0);
        ck_assert_uint_eq(read_512(&rig, 1), VIRTIO_BLK_S_OK);
        rig_done(&rig);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: the program");
        TCase *tcase = tcase_create("process");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tcase, 120);
        tcase_add_loop_test(tcase, says_ready_with_the_engine_it_runs, 0, 3);
        tcase_add_test(tcase, auto_takes_sync_where_io_uring_is_refused);
        tcase_add_loop_test(tcase, answers_pings_whatever_its_loops, 0, 3);
        tcase_add_loop_test(tcase, ends_when_the_session_breaks_the_rules, 0, 6);
        tcase_add_test(tcase, ends_well_when_nobody_waits_for_its_answer);
        tcase_add_loop_test(tcase, a_disabled_vring_leaves_requests_alone, 0, 3);
        tcase_add_loop_test(tcase, stopping_what_never_started_returns_its_base, 0, 3);
        tcase_add_loop_test(tcase, a_reset_forgets_all_but_memory, 0, 3);
        tcase_add_loop_test(tcase, descriptors_change_while_it_runs, 0, 3);
        tcase_add_loop_test(tcase, a_call_may_be_a_full_or_closed_socket, 0, 3);
        tcase_add_loop_test(tcase, a_vring_without_kick_is_polled, 0, 3);
        tcase_add_loop_test(tcase, memory_comes_and_goes_under_a_running_vring, 0, 3);
        tcase_add_loop_test(tcase, a_refused_memory_table_leaves_the_old_one, 0, 3);
        tcase_add_loop_test(tcase, the_disk_gets_another_size, 0, 3);
        tcase_add_loop_test(tcase, the_writeback_byte_is_all_that_can_be_written, 0, 3);
        tcase_add_loop_test(tcase, the_cache_mode_is_in_the_area, 0, 3);
        tcase_add_test(tcase, wrong_vrings_are_refused);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
