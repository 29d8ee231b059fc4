/*
 * Kicks, calls and errors as messages, where the device's config asks for that (vhost-user, "In-band notifications");
 * descriptors that are given are used all the same.
 */
#include "rig.h"

#include "array.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUES = 2, SIZE = 64 };

#define INBAND .set = { "device.inbandnotifications=yes" }

struct set {
        const struct rig *rig;
        struct fe_device d;
        struct fe_conn channel;
        struct drv_blk blk[QUEUES];
};

static void tell_parts(struct fe_device *d, unsigned index)
{
        struct vu_vring_addr addr = fe_device_vring_addr(d, index);

        OK(fe_set_vring_num(&d->conn, index, SIZE));
        OK(fe_set_vring_base(&d->conn, index, drv_base(d->vring[index])));
        OK(fe_set_vring_addr(&d->conn, &addr));
}

/* All but what notifies. */
static struct set set_up(const struct rig *rig, bool channel)
{
        struct set s = { .rig = rig, .d = { .inflight_fd = FD_NONE }, .channel = FE_CONN_NONE };
        struct fe_device *d = &s.d;

        d->options = (struct fe_options){ .queues = QUEUES, .queue_size = SIZE, .mem_bytes = 8 << 20, .mem_gpa = 1 << 20,
                                          .protocol_features = ~UINT64_C(0) };
        d->options.features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) |
                              (rig_packed() ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0);
        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &d->conn));
        d->mem = calloc(1, sizeof(*d->mem));
        ck_assert_ptr_nonnull(d->mem);
        OK(fe_device_negotiate(d));
        ck_assert(d->conn.protocol_features & VIRTIO_BIT(VU_PF_INBAND_NOTIFICATIONS));
        if (channel)
                OK(fe_set_backend_req_fd(&d->conn, &s.channel));
        OK(fe_device_memory(d));
        OK(fe_device_vrings(d));
        OK(fe_device_send_memory(d));
        for (unsigned i = 0; i < QUEUES; i++) {
                tell_parts(d, i);
                OK(fe_set_vring_enable(&d->conn, i, true));
                s.blk[i] = rig_blk(d, i);
        }
        return s;
}

static void tear_down(struct set *s)
{
        for (unsigned i = 0; i < QUEUES; i++)
                drv_blk_done(&s->blk[i]);
        fe_close(&s->channel);
        fe_device_drop(&s->d);
        rig_check_alive(s->rig);
}

static int kick(struct set *s, uint32_t index, uint32_t num)
{
        const struct vu_vring_state state = { index, num };

        return fe_tell(&s->d.conn, VU_VRING_KICK, &state, sizeof(state), NULL, 0);
}

static void put_read(struct set *s, unsigned index, uint64_t sector)
{
        OK(drv_blk_submit(&s->blk[index], drv_blk_slot(&s->blk[index]), VIRTIO_BLK_T_IN, sector, 512));
        s->d.vring[index]->format->publish(s->d.vring[index]);
}

static void take_read(struct set *s, unsigned index)
{
        struct drv_blk_req *req;
        uint8_t want[512];

        ck_assert_int_eq(drv_blk_reap(&s->blk[index], &req), 1);
        ck_assert_uint_eq(*req->status.at, VIRTIO_BLK_S_OK);
        rig_pattern(req->sector * 512, want, sizeof(want));
        ck_assert_mem_eq(req->data.at, want, sizeof(want));
}

/* The next message of the channel is this. */
static void told(struct set *s, uint32_t request, uint32_t index)
{
        struct fe_reply got;

        OK(fe_recv(&s->channel, &got));
        ck_assert_uint_eq(got.header.request, request);
        ck_assert_uint_eq(got.header.flags, VU_VERSION);
        ck_assert_uint_eq(got.header.size, sizeof(got.state));
        ck_assert_uint_eq(got.state.index, index);
        ck_assert_uint_eq(got.state.num, 0);
        ck_assert_uint_eq(got.n_fds, 0);
}

/* Nothing was said, and GET_FEATURES, behind everything, is answered. */
static void silent(struct set *s)
{
        rig_quiet(&s->d.conn);
        FAILS(-ETIMEDOUT, fe_poll(s->channel.fd.num, POLLIN, fe_now_ns()));
}

/* Without calls: until the ring shows it. */
static void await(struct set *s, unsigned index)
{
        long long deadline = fe_deadline(FE_TIMEOUT_MS);

        while (!s->d.vring[index]->format->pending(s->d.vring[index]))
                ck_assert_int_gt(fe_left_ms(deadline), 0);
}

START_TEST(messages_alone)
{
        RIG_WITH(rig, INBAND);
        struct set s = set_up(&rig, true);

        s.d.conn.need_reply = _i == 0;
        for (unsigned i = 0; i < 100; i++) {
                put_read(&s, i % QUEUES, i); /* the first one of each starts its ring */
                OK(kick(&s, i % QUEUES, 0));
                told(&s, VU_BACKEND_VRING_CALL, i % QUEUES);
                await(&s, i % QUEUES);
                take_read(&s, i % QUEUES);
        }
        silent(&s);
        tear_down(&s);
}
END_TEST

/* GET_VRING_BASE stops it, the next kick starts it again. */
START_TEST(stopped_and_kicked_again)
{
        RIG_WITH(rig, INBAND);
        struct set s = set_up(&rig, true);
        uint32_t base;

        for (unsigned i = 0; i < 5; i++) {
                put_read(&s, 0, i);
                OK(kick(&s, 0, 0));
                told(&s, VU_BACKEND_VRING_CALL, 0);
                await(&s, 0);
                take_read(&s, 0);
                OK(fe_get_vring_base(&s.d.conn, 0, &base));
                ck_assert_uint_eq(base, drv_base(s.d.vring[0]));
        }
        silent(&s);
        tear_down(&s);
}
END_TEST

/* QEMU 7.2 acks the feature, has none of it and gives descriptors. */
START_TEST(descriptors_come_first)
{
        RIG_WITH(rig, INBAND);
        struct set s = set_up(&rig, true);
        struct drv_vring *v = s.d.vring[0];

        OK(fe_set_vring_fd(&s.d.conn, VU_SET_VRING_CALL, 0, v->call.num));
        OK(fe_set_vring_fd(&s.d.conn, VU_SET_VRING_KICK, 0, v->kick.num));
        for (unsigned i = 0; i < 20; i++)
                rig_read_one(&rig, &s.blk[0]);
        put_read(&s, 0, 9);
        OK(kick(&s, 0, 0)); /* and who mixes both is served, too */
        OK(drv_wait(v, fe_deadline(FE_TIMEOUT_MS)));
        take_read(&s, 0);
        silent(&s);
        tear_down(&s);
}
END_TEST

/* A descriptor that is given later takes over. */
START_TEST(descriptors_come_later)
{
        RIG_WITH(rig, INBAND);
        struct set s = set_up(&rig, true);
        struct drv_vring *v = s.d.vring[0];

        put_read(&s, 0, 1);
        OK(kick(&s, 0, 0));
        told(&s, VU_BACKEND_VRING_CALL, 0);
        await(&s, 0);
        take_read(&s, 0);
        OK(fe_set_vring_fd(&s.d.conn, VU_SET_VRING_CALL, 0, v->call.num));
        OK(fe_set_vring_fd(&s.d.conn, VU_SET_VRING_KICK, 0, v->kick.num));
        for (unsigned i = 0; i < 20; i++)
                rig_read_one(&rig, &s.blk[0]);
        silent(&s);
        tear_down(&s);
}
END_TEST

/* A message that says "no descriptor" asks for polling, in this mode too. */
START_TEST(no_descriptor_is_no_message)
{
        RIG_WITH(rig, INBAND);
        struct set s = set_up(&rig, true);

        OK(fe_set_vring_fd(&s.d.conn, VU_SET_VRING_CALL, 0, -1));
        OK(fe_set_vring_fd(&s.d.conn, VU_SET_VRING_KICK, 1, -1));
        for (unsigned i = 0; i < 20; i++) {
                put_read(&s, 0, i);
                OK(kick(&s, 0, 0));
                await(&s, 0);
                take_read(&s, 0);
        }
        silent(&s);
        put_read(&s, 1, 3); /* nobody kicks this one */
        told(&s, VU_BACKEND_VRING_CALL, 1);
        await(&s, 1);
        take_read(&s, 1);
        tear_down(&s);
}
END_TEST

START_TEST(errors)
{
        const struct drv_seg wild = { UINT64_C(1) << 60, 512, false };
        RIG_WITH(rig, INBAND);
        struct set s = set_up(&rig, true);
        struct drv_vring *v = s.d.vring[0];

        if (_i == 1)
                OK(fe_set_vring_fd(&s.d.conn, VU_SET_VRING_ERR, 0, v->err.num));
        OK(drv_add(v, &wild, 1, DRV_DIRECT, NULL));
        v->format->publish(v);
        OK(kick(&s, 0, 0));
        if (_i == 1)
                OK(fe_poll(v->err.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
        else
                told(&s, VU_BACKEND_VRING_ERR, 0);
        OK(kick(&s, 0, 0)); /* deaf from now on */
        silent(&s);
        put_read(&s, 1, 1);
        OK(kick(&s, 1, 0));
        told(&s, VU_BACKEND_VRING_CALL, 1);
        tear_down(&s);
}
END_TEST

START_TEST(the_channel_comes_late)
{
        RIG_WITH(rig, INBAND);
        struct set s = set_up(&rig, false);

        put_read(&s, 1, 1);
        OK(kick(&s, 1, 0));
        await(&s, 1);
        OK(fe_set_backend_req_fd(&s.d.conn, &s.channel));
        told(&s, VU_BACKEND_VRING_CALL, 1);
        take_read(&s, 1);
        tear_down(&s);
}
END_TEST

/* Who does not read its channel is served all the same, and misses no last call. */
START_TEST(the_channel_is_full)
{
        RIG_WITH(rig, INBAND);
        struct set s = set_up(&rig, true);
        struct pollfd channel = { .fd = s.channel.fd.num, .events = POLLIN };
        unsigned calls = 0;

        for (unsigned i = 0; i < 2000; i++) {
                put_read(&s, 0, i);
                OK(kick(&s, 0, 0));
                await(&s, 0);
                take_read(&s, 0);
        }
        put_read(&s, 1, 7);
        OK(kick(&s, 1, 0));
        for (;;) {
                struct fe_reply got;

                OK(fe_recv(&s.channel, &got));
                ck_assert_uint_eq(got.header.request, VU_BACKEND_VRING_CALL);
                calls++;
                if (got.state.index == 1)
                        break;
        }
        await(&s, 1);
        take_read(&s, 1);
        ck_assert_uint_lt(calls, 2000); /* or it never was full */
        while (poll(&channel, 1, 0) > 0)
                told(&s, VU_BACKEND_VRING_CALL, 0);
        tear_down(&s);
}
END_TEST

START_TEST(bad_kicks)
{
        RIG_WITH(rig, INBAND);
        struct set s = set_up(&rig, true);
        struct fe_conn conn;

        FAILS(-EREMOTEIO, kick(&s, 64, 0));
        FAILS(-EREMOTEIO, kick(&s, UINT32_MAX, 0));
        FAILS(-EREMOTEIO, kick(&s, 0, 1));
        FAILS(-EREMOTEIO, kick(&s, 2, 0)); /* never configured */
        put_read(&s, 0, 1);
        OK(kick(&s, 0, 0));
        told(&s, VU_BACKEND_VRING_CALL, 0);
        tear_down(&s);
        rig_await_idle(&rig);
        conn = rig_connect(&rig);
        OK(fe_set_protocol_features(&conn, VIRTIO_BIT(VU_PF_REPLY_ACK)));
        s.d.conn = conn;
        FAILS(-EREMOTEIO, kick(&s, 0, 0)); /* not negotiated */
        fe_close(&conn);
}
END_TEST

/* The protocol knows no other answer to this than the end. */
START_TEST(never_alone)
{
        static const uint64_t with[] = { 0, VIRTIO_BIT(VU_PF_REPLY_ACK), VIRTIO_BIT(VU_PF_BACKEND_REQ) };
        RIG_WITH(rig, INBAND);

        for (unsigned i = 0; i < ARRAY_SIZE(with); i++) {
                uint64_t features = with[i] | VIRTIO_BIT(VU_PF_INBAND_NOTIFICATIONS);
                struct fe_conn conn;

                OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &conn));
                OK(fe_send(&conn, VU_SET_PROTOCOL_FEATURES, &features, sizeof(features)));
                OK(fe_gone(&conn));
                fe_close(&conn);
        }
        rig_check_alive(&rig);
}
END_TEST

START_TEST(not_offered_unasked)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });

        ck_assert(!(device.protocol_offered & VIRTIO_BIT(VU_PF_INBAND_NOTIFICATIONS)));
        OK(fe_device_stop(&device));
}
END_TEST

int main(void)
{
        Suite *s = suite_create("inband");
        TCase *c = tcase_create("inband");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, messages_alone, 0, 2);
        tcase_add_test(c, stopped_and_kicked_again);
        tcase_add_test(c, descriptors_come_first);
        tcase_add_test(c, descriptors_come_later);
        tcase_add_test(c, no_descriptor_is_no_message);
        tcase_add_loop_test(c, errors, 0, 2);
        tcase_add_test(c, the_channel_comes_late);
        tcase_add_test(c, the_channel_is_full);
        tcase_add_test(c, bad_kicks);
        tcase_add_test(c, never_alone);
        tcase_add_test(c, not_offered_unasked);
        suite_add_tcase(s, c);
        return rig_main(s);
}
