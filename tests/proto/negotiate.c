/*
 * Negotiation and replies: what is offered, from when protocol features count, who gets an ack.
 */
#include "rig.h"

#include <string.h>

#define OFFERED                                                                                                       \
        (VIRTIO_BIT(VU_PF_MQ) | VIRTIO_BIT(VU_PF_LOG_SHMFD) | VIRTIO_BIT(VU_PF_REPLY_ACK) |                           \
         VIRTIO_BIT(VU_PF_BACKEND_REQ) | VIRTIO_BIT(VU_PF_CONFIG) | VIRTIO_BIT(VU_PF_INFLIGHT_SHMFD) |                \
         VIRTIO_BIT(VU_PF_RESET_DEVICE) | VIRTIO_BIT(VU_PF_CONFIGURE_MEM_SLOTS) | VIRTIO_BIT(VU_PF_STATUS) | \
         VIRTIO_BIT(VU_PF_DEVICE_STATE) | VIRTIO_BIT(VU_PF_GET_VRING_BASE_INFLIGHT))

static struct fe_conn fresh(const struct rig *rig)
{
        struct fe_conn conn;

        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &conn));
        return conn;
}

START_TEST(offers)
{
        const uint64_t wanted = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) |
                                VIRTIO_BIT(VU_F_LOG_ALL) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
                                VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
                                VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_MQ) |
                                VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |
                                VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) | VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY);
        RIG_WITH(rig, .queues = 3);
        struct fe_conn conn = fresh(&rig);
        uint64_t value;

        OK(fe_get_features(&conn, &value));
        ck_assert_uint_eq(value & wanted, wanted);
        ck_assert(!(value & VIRTIO_BIT(VIRTIO_BLK_F_RO)));
        OK(fe_get_protocol_features(&conn, &value));
        ck_assert_uint_eq(value, OFFERED);
        OK(fe_set_protocol_features(&conn, value));
        OK(fe_get_queue_num(&conn, &value));
        ck_assert_uint_eq(value, 3);
        OK(fe_get_max_mem_slots(&conn, &value));
        ck_assert_uint_eq(value, VU_MEM_SLOTS);
        fe_close(&conn);
}
END_TEST

START_TEST(the_set_itself_may_ask_for_an_ack)
{
        RIG(rig);
        struct fe_conn conn = fresh(&rig);

        OK(fe_set_owner(&conn));
        OK(fe_set_protocol_features(&conn, 0x228)); /* as User-Mode Linux does: flags 9 */
        OK(fe_set_features(&conn, VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VU_F_PROTOCOL_FEATURES)));
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

/* As cloud-hypervisor does when it reconnects: nobody has asked what is on offer. */
START_TEST(a_set_without_a_get)
{
        RIG(rig);
        struct fe_conn conn = fresh(&rig);
        uint64_t queues;

        OK(fe_set_protocol_features(&conn, VIRTIO_BIT(VU_PF_MQ) | VIRTIO_BIT(VU_PF_REPLY_ACK)));
        OK(fe_get_queue_num(&conn, &queues));
        OK(fe_set_owner(&conn));
        fe_close(&conn);
}
END_TEST

START_TEST(features_without_bit_30_revoke_nothing)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        uint64_t value;

        OK(fe_set_features(&conn, VIRTIO_BIT(VIRTIO_F_VERSION_1)));
        OK(fe_set_owner(&conn));
        OK(fe_get_queue_num(&conn, &value));
        OK(fe_get_status(&conn, &value));
        OK(fe_get_protocol_features(&conn, &value));
        ck_assert_uint_eq(value, OFFERED);
        fe_close(&conn);
}
END_TEST

START_TEST(no_ack_before_it_is_negotiated)
{
        RIG(rig);
        struct fe_conn conn = fresh(&rig);
        uint64_t features = OFFERED & ~VIRTIO_BIT(VU_PF_REPLY_ACK);

        OK(fe_send_flags(&conn, VU_SET_OWNER, VU_VERSION | VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0));
        rig_quiet(&conn);
        OK(fe_send_flags(&conn, VU_SET_PROTOCOL_FEATURES, VU_VERSION | VU_FLAG_NEED_REPLY, &features, 8, NULL, 0));
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

START_TEST(a_new_set_replaces_the_old)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        conn.need_reply = false;
        OK(fe_set_protocol_features(&conn, 0));
        OK(fe_send_flags(&conn, VU_SET_OWNER, VU_VERSION | VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0));
        rig_quiet(&conn);
        conn.need_reply = true;
        OK(fe_set_protocol_features(&conn, VIRTIO_BIT(VU_PF_REPLY_ACK)));
        OK(fe_set_owner(&conn));
        fe_close(&conn);
}
END_TEST

/* Of the protocol's features they are ignored, of the device's they are not. */
START_TEST(bits_not_offered)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        uint64_t value, before = conn.protocol_features;

        OK(fe_set_protocol_features(&conn, UINT64_MAX));
        OK(prog_log_wait(&rig.prog, 0, "was not offered: ignored", FE_TIMEOUT_MS));
        conn.protocol_features = before;
        OK(fe_get_queue_num(&conn, &value)); /* what was offered is in force */
        FAILS(-EREMOTEIO, fe_tell(&conn, VU_VRING_KICK, &(struct vu_vring_state){ 0 }, 8, NULL, 0)); /* only that */
        FAILS(-EREMOTEIO, fe_set_features(&conn, UINT64_MAX));
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

/* cloud-hypervisor sets NEED_REPLY everywhere: a message with its own reply gets that one and no ack. */
START_TEST(one_reply_each)
{
        static const uint32_t asks[] = { VU_GET_FEATURES, VU_GET_PROTOCOL_FEATURES, VU_GET_QUEUE_NUM,
                                         VU_GET_MAX_MEM_SLOTS, VU_GET_STATUS };
        struct vu_vring_state state = { .index = 1 };
        struct vu_config config = { .size = 8 };
        struct fe_reply reply;
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
                OK(fe_send_flags(&conn, asks[i], VU_VERSION | VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0));
                OK(fe_recv_reply(&conn, asks[i], &reply));
                ck_assert_uint_eq(reply.header.size, 8);
                rig_quiet(&conn);
        }
        OK(fe_send_flags(&conn, VU_GET_VRING_BASE, VU_VERSION | VU_FLAG_NEED_REPLY, &state, 8, NULL, 0));
        OK(fe_recv_reply(&conn, VU_GET_VRING_BASE, &reply));
        ck_assert_uint_eq(reply.header.size, 8);
        OK(fe_send_flags(&conn, VU_GET_CONFIG, VU_VERSION | VU_FLAG_NEED_REPLY, &config, 20, NULL, 0));
        OK(fe_recv_reply(&conn, VU_GET_CONFIG, &reply));
        ck_assert_uint_eq(reply.header.size, 20);
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

/* A hundred messages in one piece, cut at odd places by the socket's other end or not: replies in order. */
START_TEST(replies_in_order)
{
        enum { N = 100 };
        struct {
                struct vu_header header;
                uint64_t value;
        } __attribute__((packed)) status = {
                {VU_SET_STATUS, VU_VERSION | VU_FLAG_NEED_REPLY, 8},
                0
        };
        struct vu_header get = { VU_GET_STATUS, VU_VERSION, 0 };
        char all[N * (sizeof(status) + sizeof(get))];
        struct fe_reply reply;
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        size_t n = 0;

        for (unsigned i = 0; i < N; i++) {
                status.value = i;
                memcpy(all + n, &status, sizeof(status));
                memcpy(all + n + sizeof(status), &get, sizeof(get));
                n += sizeof(status) + sizeof(get);
        }
        OK(fe_send_raw(&conn, all, n, NULL, 0));
        for (unsigned i = 0; i < N; i++) {
                OK(fe_recv_ack(&conn, VU_SET_STATUS));
                OK(fe_recv_reply(&conn, VU_GET_STATUS, &reply));
                ck_assert_uint_eq(reply.u64, i);
        }
        fe_close(&conn);
}
END_TEST

START_TEST(a_message_in_single_bytes)
{
        struct {
                struct vu_header header;
                uint64_t value;
        } __attribute__((packed)) status = {
                {VU_SET_STATUS, VU_VERSION | VU_FLAG_NEED_REPLY, 8},
                5
        };
        RIG_WITH(rig, .set = { "limits.partialmessagems=60000" });
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < sizeof(status); i++)
                OK(fe_send_raw(&conn, (char *) &status + i, 1, NULL, 0));
        OK(fe_recv_ack(&conn, VU_SET_STATUS));
        fe_close(&conn);
}
END_TEST

START_TEST(status_is_kept)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        static const uint64_t values[] = { 0x8, 0xf, 0xb, 0xff, 0 };
        uint64_t got;

        for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
                OK(fe_set_status(&conn, values[i]));
                OK(fe_get_status(&conn, &got));
                ck_assert_uint_eq(got, values[i]);
        }
        OK(fe_get_queue_num(&conn, &got)); /* a status of 0 took no protocol feature away */
        fe_close(&conn);
}
END_TEST

START_TEST(owner_comes_and_goes)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ 0 });
        struct drv_blk blk = rig_blk(&device, 0);
        uint64_t queues;

        OK(fe_tell(&device.conn, VU_RESET_OWNER, NULL, 0, NULL, 0));
        OK(fe_set_owner(&device.conn));
        OK(fe_get_queue_num(&device.conn, &queues));
        drv_blk_done(&blk);
        fe_device_drop(&device);
}
END_TEST

START_TEST(reset_device)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ 0 });
        struct drv_blk blk = rig_blk(&device, 0);
        uint32_t base;

        rig_read_one(&rig, &blk);
        OK(fe_reset_device(&device.conn));
        OK(fe_get_vring_base(&device.conn, 0, &base)); /* QEMU asks afterwards */
        OK(fe_set_features(&device.conn, device.features));
        drv_rebase(device.vring[0], 0);
        OK(fe_device_start_vrings(&device)); /* memory and protocol features have stayed */
        rig_read_one(&rig, &blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(backend_channel)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig), first, second;

        OK(fe_set_backend_req_fd(&conn, &first));
        OK(fe_set_backend_req_fd(&conn, &second));
        OK(fe_gone(&first)); /* replaced means closed */
        rig_quiet(&conn);
        fe_close(&conn);
        OK(fe_gone(&second));
        fe_close(&first);
        fe_close(&second);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("negotiate");
        TCase *c = tcase_create("negotiate");

        tcase_set_timeout(c, 60);
        tcase_add_test(c, offers);
        tcase_add_test(c, the_set_itself_may_ask_for_an_ack);
        tcase_add_test(c, a_set_without_a_get);
        tcase_add_test(c, features_without_bit_30_revoke_nothing);
        tcase_add_test(c, no_ack_before_it_is_negotiated);
        tcase_add_test(c, a_new_set_replaces_the_old);
        tcase_add_test(c, bits_not_offered);
        tcase_add_test(c, one_reply_each);
        tcase_add_test(c, replies_in_order);
        tcase_add_test(c, a_message_in_single_bytes);
        tcase_add_test(c, status_is_kept);
        tcase_add_test(c, owner_comes_and_goes);
        tcase_add_test(c, reset_device);
        tcase_add_test(c, backend_channel);
        suite_add_tcase(s, c);
        return rig_main(s);
}
