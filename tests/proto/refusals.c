/*
 * What is not a legal message: refused by an ack or a message's own error form where there is one, else by closing
 * (protocol facts, 1.5 and 1.6).
 */
#include "rig.h"

#include "array.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A message of `size` payload bytes (zero, but the first eight) that is nacked and leaves the connection in use. */
static void nacked(struct fe_conn *conn, uint32_t request, uint64_t first, uint32_t size, const int *fds, unsigned n)
{
        uint8_t payload[VU_PAYLOAD_MAX] = { 0 };
        int r;

        memcpy(payload, &first, sizeof(first));
        r = fe_tell(conn, request, payload, size, fds, n);
        ck_assert_msg(r == -EREMOTEIO, "request %u, %u bytes, %u fds: %s", request, size, n, log_errno(r));
        rig_quiet(conn);
}

START_TEST(unknown_numbers)
{
        static const uint32_t numbers[] = { 0, 45, 46, 99, 1002, UINT32_MAX };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
                nacked(&conn, numbers[i], 0, 0, NULL, 0);
                nacked(&conn, numbers[i], 0, 8, NULL, 0);
        }
        fe_close(&conn);
}
END_TEST

START_TEST(unknown_number_without_ack_closes)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        OK(fe_send(&conn, 99, NULL, 0));
        OK(fe_gone(&conn));
        fe_close(&conn);
        rig_check_alive(&rig);
}
END_TEST

START_TEST(not_negotiated)
{
        static const uint32_t acked[] = {
                VU_SET_LOG_FD,       VU_SEND_RARP,  VU_NET_SET_MTU,          VU_SET_BACKEND_REQ_FD,
                VU_SET_VRING_ENDIAN, VU_SET_CONFIG, VU_CLOSE_CRYPTO_SESSION, VU_SET_INFLIGHT_FD,
                VU_RESET_DEVICE,     VU_VRING_KICK, VU_ADD_MEM_REG,          VU_REM_MEM_REG,
                VU_SET_STATUS
        };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        OK(fe_set_protocol_features(&conn, VIRTIO_BIT(VU_PF_REPLY_ACK)));
        for (unsigned i = 0; i < ARRAY_SIZE(acked); i++)
                nacked(&conn, acked[i], 0, 40, NULL, 0);
        fe_close(&conn);
}
END_TEST

START_TEST(not_negotiated_with_an_error_form)
{
        struct vu_config config = { .size = 8 };
        struct vu_inflight inflight = { .queues = 1, .queue_size = 128 };
        struct fe_reply reply;
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        OK(fe_set_protocol_features(&conn, VIRTIO_BIT(VU_PF_REPLY_ACK)));
        OK(fe_ask(&conn, VU_GET_CONFIG, &config, 20, &reply));
        ck_assert_uint_eq(reply.header.size, 0);
        OK(fe_ask(&conn, VU_GET_INFLIGHT_FD, &inflight, sizeof(inflight), &reply));
        ck_assert_uint_eq(reply.inflight.size, 0);
        ck_assert_uint_eq(reply.n_fds, 0);
        fe_close(&conn);
}
END_TEST

/* No error form exists for these: closing is the only refusal. */
START_TEST(not_negotiated_closes)
{
        static const uint32_t asks[] = { VU_GET_QUEUE_NUM, VU_GET_MAX_MEM_SLOTS, VU_GET_STATUS };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        OK(fe_set_protocol_features(&conn, VIRTIO_BIT(VU_PF_REPLY_ACK)));
        OK(fe_send(&conn, asks[_i], NULL, 0));
        OK(fe_gone(&conn));
        fe_close(&conn);
        rig_check_alive(&rig);
}
END_TEST

START_TEST(wrong_sizes)
{
        static const struct {
                uint32_t request, size;
        } bad[] = {
                {VU_SET_FEATURES,           0 },
                { VU_SET_FEATURES,          4 },
                { VU_SET_FEATURES,          9 },
                { VU_SET_PROTOCOL_FEATURES, 7 },
                { VU_SET_OWNER,             9 },
                { VU_SET_VRING_NUM,         4 },
                { VU_SET_VRING_NUM,         12},
                { VU_SET_VRING_ADDR,        39},
                { VU_SET_VRING_ADDR,        48},
                { VU_SET_VRING_BASE,        0 },
                { VU_SET_VRING_ENABLE,      4 },
                { VU_SET_VRING_KICK,        4 },
                { VU_SET_VRING_CALL,        0 },
                { VU_SET_VRING_ERR,         16},
                { VU_SET_MEM_TABLE,         0 },
                { VU_SET_MEM_TABLE,         4 },
                { VU_ADD_MEM_REG,           32},
                { VU_REM_MEM_REG,           8 },
                { VU_SET_CONFIG,            4 },
                { VU_SET_INFLIGHT_FD,       16},
                { VU_SET_STATUS,            1 },
                { VU_RESET_DEVICE,          9 },
        };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
                nacked(&conn, bad[i].request, VU_VRING_NOFD, bad[i].size, NULL, 0);
        fe_close(&conn);
}
END_TEST

START_TEST(wrong_fds)
{
        static const struct {
                uint32_t request, size;
                uint64_t first;
                unsigned fds;
        } bad[] = {
                {VU_SET_OWNER,           0,  0,                              1},
                { VU_SET_FEATURES,       8,  VIRTIO_BIT(VIRTIO_F_VERSION_1), 1},
                { VU_SET_VRING_NUM,      8,  0,                              3},
                { VU_SET_VRING_KICK,     8,  0,                              0},
                { VU_SET_VRING_KICK,     8,  0,                              2},
                { VU_SET_VRING_CALL,     8,  0,                              0},
                { VU_SET_VRING_CALL,     8,  0,                              8},
                { VU_SET_VRING_ERR,      8,  0,                              0},
                { VU_SET_MEM_TABLE,      40, 1,                              0},
                { VU_SET_MEM_TABLE,      40, 1,                              2},
                { VU_ADD_MEM_REG,        40, 0,                              0},
                { VU_ADD_MEM_REG,        40, 0,                              2},
                { VU_SET_INFLIGHT_FD,    24, 0,                              0},
                { VU_SET_BACKEND_REQ_FD, 0,  0,                              0},
                { VU_SET_STATUS,         8,  0,                              1},
        };
        int fds[8];
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < 8; i++)
                fds[i] = eventfd(0, EFD_CLOEXEC);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
                nacked(&conn, bad[i].request, bad[i].first, bad[i].size, fds, bad[i].fds);
        for (unsigned i = 0; i < 8; i++)
                close(fds[i]);
        fe_close(&conn);
}
END_TEST

START_TEST(wrong_ring_index)
{
        static const uint32_t states[] = { VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_SET_VRING_ENABLE };
        static const uint32_t words[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR };
        static const uint32_t indices[] = { 4, 200, 255, 256, 65536, 1u << 31, UINT32_MAX };
        RIG_WITH(rig, .queues = 4);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < ARRAY_SIZE(indices); i++) {
                for (unsigned k = 0; k < ARRAY_SIZE(states); k++)
                        nacked(&conn, states[k], indices[i] | UINT64_C(1) << (32 + 4), 8, NULL, 0);
                nacked(&conn, VU_SET_VRING_ADDR, indices[i], 40, NULL, 0);
        }
        for (unsigned k = 0; k < ARRAY_SIZE(words); k++) {
                nacked(&conn, words[k], 4 | VU_VRING_NOFD, 8, NULL, 0);
                nacked(&conn, words[k], 255 | VU_VRING_NOFD, 8, NULL, 0);
        }
        fe_close(&conn);
}
END_TEST

START_TEST(base_of_a_ring_that_is_none_closes)
{
        struct vu_vring_state state = { .index = 64 };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        OK(fe_send(&conn, VU_GET_VRING_BASE, &state, sizeof(state)));
        OK(fe_gone(&conn));
        fe_close(&conn);
        rig_check_alive(&rig);
}
END_TEST

START_TEST(wrong_ring_values)
{
        static const uint32_t sizes[] = { 0, 3, 127, 1000, 65536, 1u << 31, UINT32_MAX };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
                FAILS(-EREMOTEIO, fe_set_vring_num(&conn, 0, sizes[i]));
        OK(fe_set_vring_num(&conn, 0, 1));
        OK(fe_set_vring_num(&conn, 0, 1024));
        FAILS(-EREMOTEIO, fe_set_vring_base(&conn, 0, 65536));
        for (unsigned skew = 1; skew < 16; skew *= 2) {
                struct vu_vring_addr a = { .desc = 0x1000 + skew, .avail = 0x2000, .used = 0x3000 };

                FAILS(-EREMOTEIO, fe_set_vring_addr(&conn, &a));
        }
        FAILS(-EREMOTEIO, fe_set_vring_addr(&conn, &(struct vu_vring_addr){ .avail = 1 }));
        FAILS(-EREMOTEIO, fe_set_vring_addr(&conn, &(struct vu_vring_addr){ .used = 2 }));
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

static const struct {
        uint32_t flags, size;
        unsigned bytes; /* of the message really sent; then shut down if fewer than announced */
} framing[] = {
        {0,                           0,                  12}, /* version 0 */
        { 2,                          0,                  12}, /* version 2 */
        { 3,                          0,                  12},
        { VU_VERSION | VU_FLAG_REPLY, 0,                  12}, /* a reply that is none */
        { VU_VERSION | 1u << 4,       0,                  12}, /* reserved bits */
        { VU_VERSION | 1u << 31,      0,                  12},
        { VU_VERSION,                 VU_PAYLOAD_MAX + 1, 12}, /* too long */
        { VU_VERSION,                 UINT32_MAX,         12},
};

START_TEST(broken_framing_closes)
{
        struct vu_header header = { .request = VU_GET_FEATURES, .flags = framing[_i].flags, .size = framing[_i].size };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        OK(fe_send_raw(&conn, &header, framing[_i].bytes, NULL, 0));
        OK(fe_gone(&conn));
        fe_close(&conn);
        rig_check_alive(&rig);
}
END_TEST

START_TEST(refused_without_ack_closes)
{
        uint64_t word = 200 | VU_VRING_NOFD;
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        OK(fe_send(&conn, VU_SET_VRING_KICK, &word, sizeof(word)));
        OK(fe_gone(&conn));
        fe_close(&conn);
        rig_check_alive(&rig);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("refusals");
        TCase *c = tcase_create("refusals");

        tcase_set_timeout(c, 60);
        tcase_add_test(c, unknown_numbers);
        tcase_add_test(c, unknown_number_without_ack_closes);
        tcase_add_test(c, not_negotiated);
        tcase_add_test(c, not_negotiated_with_an_error_form);
        tcase_add_loop_test(c, not_negotiated_closes, 0, 3);
        tcase_add_test(c, wrong_sizes);
        tcase_add_test(c, wrong_fds);
        tcase_add_test(c, wrong_ring_index);
        tcase_add_test(c, base_of_a_ring_that_is_none_closes);
        tcase_add_test(c, wrong_ring_values);
        tcase_add_loop_test(c, broken_framing_closes, 0, ARRAY_SIZE(framing));
        tcase_add_test(c, refused_without_ack_closes);
        suite_add_tcase(s, c);
        return rig_main(s);
}
