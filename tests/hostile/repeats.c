/*
 * The same again and again: messages that make something, each many times, taken or refused. What session and worker hold
 * afterwards is what they held after the first few. And a disk that the guest has given another format's header.
 */
#include "neighbour.h"

#include "array.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST = 20, MORE = 400, GROWTH_KIB = 512, LOG_BYTES = 1 << 20 };

struct again {
        struct fe_device device; /* one of its two rings runs */
        int file;                /* LOG_BYTES long */
};

static void num(struct again *a)
{
        OK(fe_set_vring_num(&a->device.conn, 1, 128));
        (void) fe_set_vring_num(&a->device.conn, 1, 3);
}

static void get_inflight(struct again *a)
{
        struct vu_inflight inflight;
        struct fd fd = FD_NONE;

        OK(fe_get_inflight_fd(&a->device.conn, 2, 128, &inflight, &fd));
        fd_close(&fd);
}

static void set_inflight(struct again *a)
{
        const struct vu_inflight bad = { .size = 64, .queues = 0xffff, .queue_size = 0xffff };

        (void) fe_set_inflight_fd(&a->device.conn, &a->device.inflight, a->device.inflight_fd.num);
        (void) fe_set_inflight_fd(&a->device.conn, &bad, a->file);
}

static void ring_fds(struct again *a)
{
        for (uint32_t request = VU_SET_VRING_KICK; request <= VU_SET_VRING_ERR; request++) {
                OK(fe_set_vring_fd(&a->device.conn, request, 1, a->device.vring[1]->kick.num));
                (void) fe_set_vring_fd(&a->device.conn, request, 1, a->file);
                (void) fe_set_vring_fd(&a->device.conn, request, 99, a->device.vring[1]->kick.num);
        }
}

static void regions(struct again *a)
{
        const struct vu_region good = { .gpa = UINT64_C(1) << 40, .size = LOG_BYTES, .uva = UINT64_C(1) << 44 };
        struct vu_region bad = good;

        OK(fe_add_mem_reg(&a->device.conn, &good, a->file));
        OK(fe_rem_mem_reg(&a->device.conn, &good));
        bad.size *= 2; /* beyond the file */
        (void) fe_add_mem_reg(&a->device.conn, &bad, a->file);
        bad = good;
        bad.offset = UINT64_MAX - 4095; /* wraps */
        (void) fe_add_mem_reg(&a->device.conn, &bad, a->file);
        (void) fe_add_mem_reg(&a->device.conn, &good, a->device.vring[1]->kick.num); /* cannot be mapped */
}

static void memory_table(struct again *a)
{
        OK(fe_device_send_memory(&a->device));
}

static void log_base(struct again *a)
{
        const struct vu_log good = { .size = LOG_BYTES }, wraps = { .size = LOG_BYTES, .offset = UINT64_MAX - 8 };
        struct fe_reply reply;

        OK(fe_send_flags(&a->device.conn, VU_SET_LOG_BASE, VU_VERSION, &good, sizeof(good), &a->file, 1));
        OK(fe_recv_reply(&a->device.conn, VU_SET_LOG_BASE, &reply));
        OK(fe_send_flags(&a->device.conn, VU_SET_LOG_BASE, VU_VERSION | VU_FLAG_NEED_REPLY, &wraps, sizeof(wraps),
                         &a->file, 1));
        FAILS(-EREMOTEIO, fe_recv_ack(&a->device.conn, VU_SET_LOG_BASE));
}

static void channel(struct again *a)
{
        struct fe_conn end;

        OK(fe_set_backend_req_fd(&a->device.conn, &end));
        fe_close(&end);
}

static void start_and_stop(struct again *a)
{
        uint32_t base;

        OK(fe_get_vring_base(&a->device.conn, 1, &base));
        OK(fe_device_start_vring(&a->device, 1, base));
        OK(fe_set_vring_enable(&a->device.conn, 1, true));
}

static const struct {
        void (*again)(struct again *);
        const char *line; /* what is said of the part that is refused */
} what[] = {
        { num, "SET_VRING_NUM: " },
        { get_inflight, NULL },
        { set_inflight, "SET_INFLIGHT_FD: " },
        { ring_fds, "SET_VRING_KICK: " },
        { regions, "ADD_MEM_REG: " },
        { memory_table, NULL },
        { log_base, "SET_LOG_BASE: " },
        { channel, NULL },
        { start_and_stop, NULL },
};

static long rss_kib(pid_t pid)
{
        char path[64];
        long pages = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/statm", (int) pid);
        file = fopen(path, "re");
        ck_assert(file != NULL && fscanf(file, "%*d %ld", &pages) == 1);
        fclose(file);
        return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

START_TEST(nothing_is_made_twice)
{
        RIG_WITH(rig, .queues = 2, .neighbour = true);
        struct again a = { .device = rig_device(&rig, (struct fe_options){ .queues = 2, .mem_table = true }) };
        struct drv_blk blk = rig_blk(&a.device, 0);
        AUTO_FD file = { memfd_create("again", MFD_CLOEXEC) };
        pid_t pid[] = { rig_child(&rig, "vhost-session"), rig_child(&rig, "vhost-worker") };
        struct neighbour n = neighbour_move_in(&rig);
        long rss[2];
        int fds[2];

        a.file = file.num;
        ck_assert_int_eq(ftruncate(a.file, LOG_BYTES), 0);
        if (what[_i].again != start_and_stop) {
                uint32_t base;

                OK(fe_get_vring_base(&a.device.conn, 1, &base));
        }
        for (unsigned i = 0; i < FIRST; i++)
                what[_i].again(&a);
        if (what[_i].line)
                OK(prog_log_wait(&rig.prog, 0, what[_i].line, FE_TIMEOUT_MS));
        rig_read_one(&rig, &blk);
        for (unsigned p = 0; p < 2; p++) {
                fds[p] = prog_count_fds(pid[p]);
                rss[p] = rss_kib(pid[p]);
        }
        for (unsigned i = 0; i < MORE; i++)
                what[_i].again(&a);
        rig_read_one(&rig, &blk);
        for (unsigned p = 0; p < 2; p++) {
                OK(prog_await_fds(pid[p], fds[p], FE_TIMEOUT_MS));
                ck_assert_msg(rss_kib(pid[p]) <= rss[p] + GROWTH_KIB, "%ld KiB, %ld before", rss_kib(pid[p]), rss[p]);
        }
        drv_blk_done(&blk);
        fe_device_drop(&a.device);
        neighbour_ending(&rig, &n);
}
END_TEST

/* A disk is its bytes: what a guest writes there is no word to anybody about its size, its format or another file. */
START_TEST(no_format_is_recognized)
{
        static const uint8_t qcow2[512] = { 'Q', 'F', 'I', 0xfb, 0,    0,    0, 3,   0,   0, 0, 0, 0, 0, 0, 0x68,
                                            0,   0,   0,   11,   0,    0,    0, 16,  0,   0, 1, 0, 0, 0, 0, 0,
                                            [0x68] = '/', 'e', 't', 'c', '/', 'p', 'a', 's', 's', 'w', 'd' };
        RIG_WITH(rig, .neighbour = true);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct neighbour n;
        uint64_t before, after;
        uint8_t got[512];

        OK(fe_get_config(&device.conn, 0, &before, sizeof(before)));
        OK(drv_blk_write(&blk, 0, qcow2, sizeof(qcow2)));
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
        rig_await_idle(&rig);
        n = neighbour_move_in(&rig);
        device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        blk = rig_blk(&device, 0);
        OK(fe_get_config(&device.conn, 0, &after, sizeof(after)));
        ck_assert_uint_eq(before, after);
        OK(drv_blk_read(&blk, 0, got, sizeof(got)));
        ck_assert_mem_eq(got, qcow2, sizeof(got));
        rig_read_one(&rig, &blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
        neighbour_ending(&rig, &n);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("repeats");
        TCase *c = tcase_create("repeats");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, nothing_is_made_twice, 0, ARRAY_SIZE(what));
        tcase_add_test(c, no_format_is_recognized);
        suite_add_tcase(s, c);
        return rig_main(s);
}
