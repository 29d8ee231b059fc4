/*
 * vhostctl show of what a worker says of its own state: equal to what the front-end has set, whatever that is, and
 * never that of another connection.
 */
#include "run_ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUEUES = 3, SIZE = 64 };

/* The broker hears that a worker is ready or has ended when the front-end does: of which comes first no event tells. */
static void show_in(const struct rig *rig, const char *state, struct ctl_said *said)
{
        const struct timespec tick = { .tv_nsec = 5000000 };
        long long deadline = fe_deadline(FE_TIMEOUT_MS);
        char line[64];

        snprintf(line, sizeof(line), "\n%-22s %s\n", "state", state);
        for (;;) {
                CTL(rig, said, "show", "block");
                ctl_expect(said, 0);
                if (strstr(said->out, line) || !fe_left_ms(deadline))
                        break;
                nanosleep(&tick, NULL);
        }
        ctl_expect_text(said, line);
}

static void show(const struct rig *rig, struct ctl_said *said)
{
        show_in(rig, "serving", said);
        ctl_expect_text(said, "\nClaims of the worker, which nobody has checked");
}

static void expect_no_text(const struct ctl_said *said, const char *text)
{
        ck_assert_msg(strstr(said->out, text) == NULL, "'%s' is in: %.6000s", text, said->out);
}

static void expect_line(const struct ctl_said *said, const char *key, const char *value)
{
        char line[400];

        snprintf(line, sizeof(line), "\n%-22s %s\n", key, value);
        ctl_expect_text(said, line);
}

/* What the guest acked: bit 30 is between front-end and session. */
static void expect_features(const struct ctl_said *said, uint64_t features)
{
        char text[24];

        snprintf(text, sizeof(text), "0x%" PRIx64, features & ~VIRTIO_BIT(VU_F_PROTOCOL_FEATURES));
        expect_line(said, "acked_features", text);
        expect_no_text(said, "acked_unknown");
}

START_TEST(claims_are_what_was_set)
{
        const bool packed = _i & 1;
        RIG_WITH(rig, .engine = "sync", .set = { _i & 2 ? "worker.threads=2" : NULL });
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = QUEUES,
                                                                        .queue_size = SIZE,
                                                                        .packed = packed,
                                                                        .two_regions = true,
                                                                        .mem_bytes = 8 << 20 });
        const char *ring =
                packed ? "packed 64, started, enabled, 0 in flight" : "split 64, started, enabled, 0 in flight";
        struct ctl_said said;
        uint32_t base;

        show(&rig, &said);
        expect_features(&said, device.features);
        ctl_expect_text(&said, "\nacked                  SEG_MAX BLK_SIZE FLUSH ");
        ctl_expect_text(&said, packed ? " VERSION_1 RING_PACKED" : " VERSION_1\n");
        expect_line(&said, "guest_regions", "2");
        expect_line(&said, "guest_memory", "16777216");
        expect_line(&said, "iommu_in_use", "no");
        expect_line(&said, "dirty_log", "no");
        expect_line(&said, "vring_0", ring);
        expect_line(&said, "vring_1", ring);
        expect_line(&said, "vring_2", ring);
        expect_no_text(&said, "vring_3");
        OK(fe_set_vring_enable(&device.conn, 1, false));
        OK(fe_get_vring_base(&device.conn, 2, &base));
        show(&rig, &said);
        expect_line(&said, "vring_0", ring);
        expect_line(&said, "vring_1", packed ? "packed 64, started, 0 in flight" : "split 64, started, 0 in flight");
        expect_no_text(&said, "vring_2");
        CTL(&rig, &said, "--json", "show", "block");
        ctl_expect(&said, 0);
        ctl_expect_json(&said);
        ctl_expect_text(&said, "\"claims\":{\"acked_features\":\"0x");
        ctl_expect_text(&said,
                        packed ? "\"index\":0,\"format\":\"packed\",\"size\":64,\"started\":true,\"enabled\":true,"
                               : "\"index\":0,\"format\":\"split\",\"size\":64,\"started\":true,\"enabled\":true,");
        ctl_expect_text(&said, "\"size\":64,\"started\":true,\"enabled\":false,\"broken\":false,\"logged\":false,"
                               "\"waits_for_iotlb\":false,\"drains\":false,\"in_flight\":0}]}");
        fe_device_drop(&device);
}
END_TEST

START_TEST(a_dirty_log_is_told)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });
        struct vu_vring_addr addr = fe_device_vring_addr(&device, 1);
        struct ctl_said said;

        addr.flags = VU_VRING_F_LOG;
        OK(fe_set_features(&device.conn, device.features | VIRTIO_BIT(VU_F_LOG_ALL)));
        OK(fe_set_vring_addr(&device.conn, &addr));
        show(&rig, &said);
        expect_features(&said, device.features);
        expect_line(&said, "dirty_log", "yes");
        expect_line(&said, "vring_0", "split 128, started, enabled, 0 in flight");
        expect_line(&said, "vring_1", "split 128, started, enabled, logged, 0 in flight");
        OK(fe_set_features(&device.conn, device.features));
        show(&rig, &said);
        expect_line(&said, "dirty_log", "no");
        fe_device_drop(&device);
}
END_TEST

START_TEST(a_broken_vring_is_told)
{
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });
        const struct drv_seg nowhere = { .gpa = UINT64_C(1) << 60, .len = 512, .write = true };
        struct ctl_said said;

        OK(drv_add(device.vring[0], &nowhere, 1, DRV_DIRECT, NULL));
        drv_kick(device.vring[0]);
        OK(prog_log_wait(&rig.prog, 0, "vring 0: ", FE_TIMEOUT_MS));
        show(&rig, &said);
        expect_line(&said, "vring_0", "split 128, broken, 0 in flight");
        expect_line(&said, "vring_1", "split 128, started, enabled, 0 in flight");
        fe_device_drop(&device);
}
END_TEST

/* Behind an IOMMU that never answers. */
START_TEST(what_a_vring_waits_for_is_told)
{
        RIG_WITH(rig, .set = { "device.iommu=yes" });
        struct fe_device device = { .inflight_fd = FD_NONE, .mem = calloc(1, sizeof(*device.mem)) };
        struct fe_conn channel;
        struct ctl_said said;

        device.options =
                (struct fe_options){ .queues = 1,
                                     .queue_size = SIZE,
                                     .mem_bytes = 32 << 20,
                                     .mem_gpa = 1 << 20,
                                     .protocol_features = ~UINT64_C(0),
                                     .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) |
                                                 VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) };
        OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &device.conn));
        OK(fe_device_negotiate(&device));
        OK(fe_set_backend_req_fd(&device.conn, &channel));
        OK(fe_device_memory(&device));
        OK(fe_device_vrings(&device));
        OK(fe_device_send_memory(&device));
        OK(fe_device_start_vring(&device, 0, 0));
        show(&rig, &said);
        expect_features(&said, device.options.features);
        expect_line(&said, "acked", "VERSION_1 ACCESS_PLATFORM");
        expect_line(&said, "iommu_in_use", "yes");
        ctl_expect_text(&said, "\nvring_0                split 64, started, ");
        ctl_expect_text(&said, ", waits_for_iotlb, 0 in flight\n");
        fe_close(&channel);
        fe_device_drop(&device);
}
END_TEST

/* Neither before the first connection nor after the last; and the next one begins with nothing. */
START_TEST(a_connection_has_its_own)
{
        RIG_WITH(rig, .set = { "worker.threads=2" });
        struct ctl_said said;
        struct fe_device device;
        struct fe_conn conn;

        show_in(&rig, "idle", &said);
        expect_no_text(&said, "Claims");
        device = rig_device(&rig, (struct fe_options){ .queues = QUEUES, .packed = true });
        show(&rig, &said);
        expect_features(&said, device.features);
        ctl_expect_text(&said, "\nvring_2                packed 128, started");
        fe_device_drop(&device);
        rig_await_idle(&rig);
        show_in(&rig, "idle", &said);
        expect_no_text(&said, "Claims");
        CTL(&rig, &said, "--json", "show", "block");
        ctl_expect(&said, 0);
        ctl_expect_json(&said);
        expect_no_text(&said, "claims");

        conn = rig_connect(&rig);
        show(&rig, &said);
        expect_features(&said, 0);
        ctl_expect_text(&said, "\nacked                 \n");
        expect_line(&said, "guest_regions", "0");
        expect_line(&said, "guest_memory", "0");
        expect_no_text(&said, "vring_");
        fe_close(&conn);
        rig_await_idle(&rig);

        device = rig_device(&rig, (struct fe_options){ .queues = 1, .queue_size = SIZE });
        show(&rig, &said);
        expect_features(&said, device.features);
        expect_line(&said, "vring_0", "split 64, started, enabled, 0 in flight");
        expect_no_text(&said, "vring_1");
        expect_no_text(&said, "vring_2");
        fe_device_drop(&device);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ctl_claims");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_loop_test(all, claims_are_what_was_set, 0, 4);
        tcase_add_test(all, a_dirty_log_is_told);
        tcase_add_test(all, a_broken_vring_is_told);
        tcase_add_test(all, what_a_vring_waits_for_is_told);
        tcase_add_test(all, a_connection_has_its_own);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
