/*
 * The device's config space: GET_CONFIG and SET_CONFIG (protocol facts, 6.3).
 */
#include "rig.h"

#include <string.h>

START_TEST(whole_space)
{
        RIG_WITH(rig, .queues = 2);
        struct fe_conn conn = rig_connect(&rig);
        struct virtio_blk_config c;

        OK(fe_get_config(&conn, 0, &c, sizeof(c)));
        ck_assert_uint_eq(le64toh(c.capacity), RIG_DISK_BYTES / 512);
        ck_assert_uint_eq(le16toh(c.num_queues), 2);
        ck_assert_uint_eq(le32toh(c.blk_size), 512);
        ck_assert_uint_ge(le32toh(c.seg_max), 1);
        ck_assert_uint_eq(le32toh(c.size_max), 0);
        ck_assert_uint_ge(le32toh(c.max_discard_sectors), 1);
        ck_assert_uint_ge(le32toh(c.max_write_zeroes_seg), 1);
        fe_close(&conn);
}
END_TEST

/* crosvm reads any part; a back-end that ignores the offset gives it wrong bytes. */
START_TEST(every_offset)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        uint8_t whole[VU_CONFIG_MAX], part[VU_CONFIG_MAX];

        OK(fe_get_config(&conn, 0, whole, sizeof(whole)));
        for (unsigned i = sizeof(struct virtio_blk_config); i < sizeof(whole); i++)
                ck_assert_uint_eq(whole[i], 0);
        for (unsigned at = 0; at < 100; at++) {
                OK(fe_get_config(&conn, at, part, 8));
                ck_assert_mem_eq(part, whole + at, 8);
                OK(fe_get_config(&conn, at, part, 1));
                ck_assert_uint_eq(part[0], whole[at]);
        }
        OK(fe_get_config(&conn, 0, part, 57)); /* QEMU 7.2 */
        fe_close(&conn);
}
END_TEST

static void refused(struct fe_conn *conn, uint32_t offset, uint32_t size, uint32_t payload)
{
        char bytes[VU_PAYLOAD_MAX] = { 0 };
        uint32_t head[3] = { offset, size, 0 };
        struct fe_reply reply;

        memcpy(bytes, head, sizeof(head));
        OK(fe_ask(conn, VU_GET_CONFIG, bytes, payload, &reply));
        ck_assert_uint_eq(reply.header.size, 0);
}

START_TEST(out_of_range)
{
        static const uint32_t beyond[] = { 96, 250, 256, 1u << 31, UINT32_MAX - 7, UINT32_MAX };
        static const uint8_t zero[8] = { 0 };
        uint8_t got[8];
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
                OK(fe_get_config(&conn, beyond[i], got, sizeof(got)));
                ck_assert_mem_eq(got, zero, sizeof(zero));
        }
        refused(&conn, 0, 0, 12);
        refused(&conn, 0, UINT32_MAX, 20);
        refused(&conn, 0, 257, 12 + 257);
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

START_TEST(writeback_toggles)
{
        const uint32_t at = offsetof(struct virtio_blk_config, writeback);
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        uint8_t byte;

        for (unsigned i = 0; i < 4; i++) {
                uint8_t want = i & 1;

                OK(fe_set_config(&conn, at, &want, 1, 0));
                OK(fe_get_config(&conn, at, &byte, 1));
                ck_assert_uint_eq(byte, want);
        }
        fe_close(&conn);
}
END_TEST

START_TEST(read_only_bytes)
{
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);
        uint8_t whole[sizeof(struct virtio_blk_config)], again[sizeof(whole)], byte = 0x55;

        OK(fe_get_config(&conn, 0, whole, sizeof(whole)));
        OK(fe_set_config(&conn, 0, whole, sizeof(whole), 0)); /* test-device writes all back */
        FAILS(-EREMOTEIO, fe_set_config(&conn, 0, &byte, 1, 0));
        FAILS(-EREMOTEIO, fe_set_config(&conn, 0, &byte, 1, 1)); /* "live migration" unlocks nothing */
        FAILS(-EREMOTEIO, fe_set_config(&conn, 20, &byte, 1, 0));
        OK(fe_get_config(&conn, 0, again, sizeof(again)));
        ck_assert_mem_eq(whole, again, sizeof(whole));
        fe_close(&conn);
}
END_TEST

START_TEST(writes_out_of_range)
{
        static const uint32_t bad[][3] = {
  /* offset, size, payload */
                {256,         1,          13},
                { UINT32_MAX, 1,          13},
                { 32,         UINT32_MAX, 13},
                { 32,         2,          13}
        };
        struct vu_config message = { 0 };
        RIG(rig);
        struct fe_conn conn = rig_connect(&rig);

        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                message.offset = bad[i][0];
                message.size = bad[i][1];
                FAILS(-EREMOTEIO, fe_tell(&conn, VU_SET_CONFIG, &message, bad[i][2], NULL, 0));
        }
        rig_quiet(&conn);
        fe_close(&conn);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("config");
        TCase *c = tcase_create("config");

        tcase_set_timeout(c, 60);
        tcase_add_test(c, whole_space);
        tcase_add_test(c, every_offset);
        tcase_add_test(c, out_of_range);
        tcase_add_test(c, writeback_toggles);
        tcase_add_test(c, read_only_bytes);
        tcase_add_test(c, writes_out_of_range);
        suite_add_tcase(s, c);
        return rig_main(s);
}
