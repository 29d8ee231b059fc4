/*
 * The life of a vring: start, stop, position, enabling, kick and call (protocol facts, 3.5, 4.2 to 4.4).
 */
#include "rig.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Queues a read of sector 1 without kicking. */
static struct drv_blk_req *put_read(struct drv_blk *blk)
{
        struct drv_blk_req *req = drv_blk_slot(blk);

        memset(req->data.at, 0, 512);
        OK(drv_blk_submit(blk, req, VIRTIO_BLK_T_IN, 1, 512));
        return req;
}

/* Waits for that read and looks at what it brought. */
static void take_read(struct drv_blk *blk)
{
        struct drv_blk_req *req;
        uint8_t want[512];

        OK(drv_wait(blk->vring, fe_deadline(FE_TIMEOUT_MS)));
        ck_assert_int_eq(drv_blk_reap(blk, &req), 1);
        ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
        rig_pattern(512, want, sizeof(want));
        ck_assert_mem_eq(req->data.at, want, sizeof(want));
}

/* Nobody has touched the ring: GET_VRING_BASE, which waits for all work, says so. Leaves the ring stopped. */
static void untouched(struct fe_device *device, unsigned index, uint32_t base)
{
        uint32_t got;

        OK(fe_get_vring_base(&device->conn, index, &got));
        ck_assert_uint_eq(got, base);
        ck_assert(!device->vring[index]->format->pending(device->vring[index]));
}

static void drain(int eventfd)
{
        eventfd_t count;

        while (!eventfd_read(eventfd, &count))
                ;
}

START_TEST(positions)
{
        static const uint16_t bases[] = { 0, 1, 127, 128, 65530, 65535 };
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .base = bases[_i] });
        struct drv_blk blk = rig_blk(&device, 0);
        uint32_t base;

        for (unsigned i = 0; i < 300; i++)
                rig_read_one(&rig, &blk);
        OK(fe_get_vring_base(&device.conn, 0, &base));
        ck_assert_uint_eq(base, drv_base(device.vring[0]));
        if (!rig_packed())
                ck_assert_uint_eq(base, (uint16_t) (bases[_i] + 300));
        drv_blk_done(&blk);
        fe_device_drop(&device);
}
END_TEST

START_TEST(base_of_a_ring_never_started)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        uint32_t base = 99;

        OK(fe_get_vring_base(&conn, 3, &base));
        ck_assert_uint_eq(base, 0);
        OK(fe_set_features(&conn, VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_RING_PACKED)));
        OK(fe_get_vring_base(&conn, 3, &base));
        ck_assert_uint_eq(base, VRING_PACKED_BASE_FRESH);
        OK(fe_set_vring_num(&conn, 2, 128));
        OK(fe_set_vring_base(&conn, 2, 77));
        OK(fe_get_vring_base(&conn, 2, &base));
        ck_assert_uint_eq(base, 77);
        fe_close(&conn);
}
END_TEST

START_TEST(stop_and_start_again)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });
        struct drv_blk blk = rig_blk(&device, 1);
        uint32_t base;

        for (unsigned i = 0; i < 20; i++) {
                rig_read_one(&rig, &blk);
                OK(fe_get_vring_base(&device.conn, 1, &base));
                ck_assert_uint_eq(base, drv_base(device.vring[1]));
                OK(fe_device_start_vring(&device, 1, base)); /* enabled it still is */
        }
        rig_read_one(&rig, &blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* GET_VRING_BASE drains: all that was kicked and fetched is in the used ring when it answers. */
START_TEST(stop_drains)
{
        enum { N = 32 };
        RIG_WITH(rig, .engine = _i ? "sync" : "uring");
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk_req *req;
        struct drv_blk blk;
        unsigned taken;
        uint32_t base;

        OK(drv_blk_init(&blk, device.vring[0], 0, N, 64 << 10));
        for (unsigned round = 0; round < 20; round++) {
                for (unsigned i = 0; i < N; i++)
                        OK(drv_blk_submit(&blk, drv_blk_slot(&blk), VIRTIO_BLK_T_IN, i * 128, 64 << 10));
                drv_kick(device.vring[0]);
                OK(fe_get_vring_base(&device.conn, 0, &base));
                for (taken = 0; drv_blk_reap(&blk, &req) == 1; taken++)
                        ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
                ck_assert_uint_eq(base, drv_used_base(device.vring[0]));
                OK(fe_device_start_vring(&device, 0, base));
                for (; taken < N; taken++) {
                        OK(drv_wait(device.vring[0], fe_deadline(FE_TIMEOUT_MS)));
                        ck_assert_int_eq(drv_blk_reap(&blk, &req), 1);
                        ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
                }
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* After reconnect or migration nobody kicks for what lies in the ring. */
START_TEST(start_looks_at_the_ring)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        uint32_t base;

        OK(fe_get_vring_base(&device.conn, 0, &base));
        put_read(&blk);
        drv_kick(device.vring[0]);
        drain(device.vring[0]->kick.num);
        OK(fe_device_start_vring(&device, 0, base));
        take_read(&blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(disabled_leaves_requests_alone)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .disabled = true });
        struct drv_blk blk = rig_blk(&device, 0);

        put_read(&blk);
        drv_kick_anyway(device.vring[0]);
        untouched(&device, 0, drv_used_base(device.vring[0]));
        OK(fe_device_start_vring(&device, 0, drv_used_base(device.vring[0])));
        drain(device.vring[0]->kick.num);
        OK(fe_set_vring_enable(&device.conn, 0, true)); /* enabling looks at the ring, no kick needed */
        take_read(&blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* cloud-hypervisor pauses and resumes so. */
START_TEST(disable_and_enable)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);

        for (unsigned i = 0; i < 20; i++) {
                OK(fe_set_vring_enable(&device.conn, 0, false));
                put_read(&blk);
                drv_kick_anyway(device.vring[0]);
                rig_quiet(&device.conn);
                ck_assert(!device.vring[0]->format->pending(device.vring[0]));
                OK(fe_set_vring_enable(&device.conn, 0, true));
                take_read(&blk);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(without_bit_30_all_are_enabled)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .disabled = true });
        struct drv_blk blk = rig_blk(&device, 0);
        uint64_t with = device.features, without = with & ~VIRTIO_BIT(VU_F_PROTOCOL_FEATURES);
        uint32_t base;

        OK(fe_get_vring_base(&device.conn, 0, &base));
        OK(fe_set_features(&device.conn, without));
        OK(fe_device_start_vring(&device, 0, base));
        rig_read_one(&rig, &blk);
        OK(fe_get_vring_base(&device.conn, 0, &base));
        OK(fe_set_features(&device.conn, with)); /* changes nothing about enabling */
        OK(fe_device_start_vring(&device, 0, base));
        rig_read_one(&rig, &blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* QEMU 7.2's net enables before SET_FEATURES, before anything is configured, and never again. */
START_TEST(enabled_before_everything)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        struct fe_device device;
        struct drv_blk blk;

        for (unsigned i = 0; i < 4; i++)
                OK(fe_set_vring_enable(&conn, i, true));
        OK(fe_device_start_on(conn, &(struct fe_options){ .disabled = true, .packed = rig_packed() }, &device));
        blk = rig_blk(&device, 0);
        rig_read_one(&rig, &blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(features_on_running_rings)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);

        OK(fe_set_features(&device.conn, device.features)); /* twice the same: harmless */
        FAILS(-EREMOTEIO, fe_set_features(&device.conn, device.features ^ VIRTIO_BIT(VIRTIO_F_EVENT_IDX)));
        rig_read_one(&rig, &blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(new_call_fd)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct drv_vring *v = device.vring[0];

        for (unsigned i = 0; i < 10; i++) {
                struct fd old = fd_take(&v->call);

                v->call.num = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                OK(fe_set_vring_fd(&device.conn, VU_SET_VRING_CALL, 0, v->call.num));
                OK(fe_poll(v->call.num, POLLIN, fe_deadline(FE_TIMEOUT_MS))); /* signalled once, unasked */
                drain(old.num);
                rig_read_one(&rig, &blk);
                FAILS(-ETIMEDOUT, fe_poll(old.num, POLLIN, fe_now_ns()));
                fd_close(&old);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(new_kick_fd)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct drv_vring *v = device.vring[0];

        for (unsigned i = 0; i < 10; i++) {
                fd_close(&v->kick);
                v->kick.num = eventfd(0, EFD_CLOEXEC | (i & 1 ? EFD_NONBLOCK : 0));
                put_read(&blk);
                v->format->publish(v); /* no kick: the replacement itself makes the ring be looked at */
                OK(fe_set_vring_fd(&device.conn, VU_SET_VRING_KICK, 0, v->kick.num));
                take_read(&blk);
                rig_read_one(&rig, &blk);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* What is refused changes nothing: the ring goes on with the descriptors it had. */
START_TEST(refused_fds_change_nothing)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        AUTO_FD path = { open("/", O_PATH | O_CLOEXEC) };
        AUTO_FD file = { open("/proc/self/exe", O_RDONLY | O_CLOEXEC) };

        FAILS(-EREMOTEIO, fe_set_vring_fd(&device.conn, VU_SET_VRING_KICK, 0, file.num));
        rig_read_one(&rig, &blk);
        FAILS(-EREMOTEIO, fe_set_vring_fd(&device.conn, VU_SET_VRING_KICK, 0, path.num));
        rig_read_one(&rig, &blk);
        FAILS(-EREMOTEIO, fe_set_vring_fd(&device.conn, VU_SET_VRING_CALL, 0, path.num));
        rig_read_one(&rig, &blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(no_call_fd)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        uint32_t base;

        OK(fe_set_vring_fd(&device.conn, VU_SET_VRING_CALL, 0, -1));
        drain(device.vring[0]->call.num);
        put_read(&blk);
        drv_kick(device.vring[0]);
        OK(fe_get_vring_base(&device.conn, 0, &base)); /* drained, so if it was fetched it is done */
        OK(fe_device_start_vring(&device, 0, base));
        take_read(&blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(no_kick_fd_means_polling)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        uint32_t base;

        OK(fe_get_vring_base(&device.conn, 0, &base));
        fd_close(&device.vring[0]->kick);
        OK(fe_device_start_vring(&device, 0, base)); /* kick -1: the no-fd bit */
        for (unsigned i = 0; i < 50; i++) {
                put_read(&blk);
                device.vring[0]->format->publish(device.vring[0]);
                take_read(&blk);
        }
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* The call fd of User-Mode Linux 6.1 is a stream socket, blocking; it gets eight bytes a call. */
START_TEST(call_by_socket)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct drv_vring *v = device.vring[0];
        struct drv_blk_req *req;
        uint64_t word;
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        OK(fe_set_vring_fd(&device.conn, VU_SET_VRING_CALL, 0, pair[1]));
        close(pair[1]);
        OK(fe_poll(pair[0], POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        ck_assert_int_eq(recv(pair[0], &word, 8, MSG_WAITALL), 8);
        put_read(&blk);
        drv_want_calls(v, true);
        drv_kick(v);
        OK(fe_poll(pair[0], POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        ck_assert_int_eq(recv(pair[0], &word, 8, MSG_WAITALL), 8);
        ck_assert_int_eq(drv_blk_reap(&blk, &req), 1);
        close(pair[0]);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

/* A socket that nobody reads, a pipe whose reader is gone: neither stops the worker. */
START_TEST(call_that_blocks)
{
        enum { N = 3000 }; /* many times what the smallest pipe or a socket holds of eight-byte words */
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });
        struct drv_blk stuck = rig_blk(&device, 0), well = rig_blk(&device, 1);
        struct drv_vring *v = device.vring[0];
        struct drv_blk_req *req;
        int pair[2];

        ck_assert_int_eq(_i ? pipe2(pair, 0) : socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        if (_i)
                close(pair[0]);
        OK(fe_set_vring_fd(&device.conn, VU_SET_VRING_CALL, 0, pair[1]));
        for (unsigned i = 0; i < N; i++) {
                long long deadline = fe_deadline(FE_TIMEOUT_MS);

                put_read(&stuck);
                drv_want_calls(v, true);
                drv_kick(v);
                while (!v->format->pending(v))
                        ck_assert(fe_left_ms(deadline));
                ck_assert_int_eq(drv_blk_reap(&stuck, &req), 1);
        }
        rig_read_one(&rig, &well);
        close(pair[1]);
        if (!_i)
                close(pair[0]);
        drv_blk_done(&stuck);
        drv_blk_done(&well);
        OK(fe_device_stop(&device));
}
END_TEST

/* With calls turned off the device makes none, with event index or without. */
START_TEST(unwanted_calls)
{
        RIG(rig);
        struct fe_options options = { .features = 0xffffff | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
                                                  VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) |
                                                  (_i ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0) };
        struct fe_device device = rig_device(&rig, options);
        struct drv_blk blk = rig_blk(&device, 0);
        struct drv_vring *v = device.vring[0];
        long long deadline = fe_deadline(FE_TIMEOUT_MS);
        struct drv_blk_req *req;
        uint32_t base;

        rig_read_one(&rig, &blk); /* past the call of the start */
        OK(fe_set_vring_enable(&device.conn, 0, true)); /* the worker answers between its rounds */
        drain(v->call.num);
        drv_want_calls(v, false);
        for (unsigned i = 0; i < 200; i++) {
                put_read(&blk);
                drv_kick(v);
                while (!v->format->pending(v))
                        ck_assert(fe_left_ms(deadline));
                ck_assert_int_eq(drv_blk_reap(&blk, &req), 1);
        }
        FAILS(-ETIMEDOUT, fe_poll(v->call.num, POLLIN, fe_now_ns()));
        OK(fe_get_vring_base(&device.conn, 0, &base));
        drv_blk_done(&blk);
        fe_device_drop(&device);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("vrings");
        TCase *c = tcase_create("vrings");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, positions, 0, 6);
        tcase_add_test(c, base_of_a_ring_never_started);
        tcase_add_test(c, stop_and_start_again);
        tcase_add_loop_test(c, stop_drains, 0, 2);
        tcase_add_test(c, start_looks_at_the_ring);
        tcase_add_test(c, disabled_leaves_requests_alone);
        tcase_add_test(c, disable_and_enable);
        tcase_add_test(c, without_bit_30_all_are_enabled);
        tcase_add_test(c, enabled_before_everything);
        tcase_add_test(c, features_on_running_rings);
        tcase_add_test(c, new_call_fd);
        tcase_add_test(c, new_kick_fd);
        tcase_add_test(c, refused_fds_change_nothing);
        tcase_add_test(c, no_call_fd);
        tcase_add_test(c, no_kick_fd_means_polling);
        tcase_add_test(c, call_by_socket);
        tcase_add_loop_test(c, call_that_blocks, 0, 2);
        tcase_add_loop_test(c, unwanted_calls, 0, 2);
        suite_add_tcase(s, c);
        return rig_main(s);
}
