/*
 * The orders in which real front-ends set a device up, stop it and set it up again (protocol facts, 4.1).
 */
#include "rig.h"

#include "drv_rng.h"

#include <stdlib.h>
#include <string.h>

/* A device whose memory and rings exist but of which the back-end knows nothing yet. */
static struct fe_device prepare(const struct rig *rig, struct fe_options options)
{
        struct fe_device d = { .options = options, .inflight_fd = FD_NONE, .mem = calloc(1, sizeof(*d.mem)) };

        d.options.queue_size = 128;
        d.options.mem_bytes = 4 << 20;
        d.options.mem_gpa = 1 << 20;
        ck_assert(d.mem != NULL);
        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &d.conn));
        d.features =
                VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VU_F_PROTOCOL_FEATURES);
        OK(fe_device_memory(&d));
        OK(fe_device_vrings(&d));
        return d;
}

static void protocol(struct fe_device *d, uint64_t mask, bool acks)
{
        uint64_t value;

        OK(fe_get_protocol_features(&d->conn, &value));
        d->conn.need_reply = acks;
        OK(fe_set_protocol_features(&d->conn, value & mask));
}

static void calls(struct fe_device *d)
{
        for (unsigned i = 0; i < d->n; i++)
                OK(fe_set_vring_fd(&d->conn, VU_SET_VRING_CALL, i, d->vring[i]->call.num));
}

static void enable(struct fe_device *d, unsigned n, bool on)
{
        for (unsigned i = 0; i < n; i++)
                OK(fe_set_vring_enable(&d->conn, i, on));
}

static void serve(const struct rig *rig, struct fe_device *d)
{
        struct drv_blk blk = rig_blk(d, 0);

        for (unsigned i = 0; i < 5; i++)
                rig_read_one(rig, &blk);
        drv_blk_done(&blk);
}

static void stop_all(struct fe_device *d)
{
        uint32_t base;

        for (unsigned i = 0; i < d->n; i++)
                OK(fe_get_vring_base(&d->conn, i, &base));
}

static void again(struct fe_device *d)
{
        for (unsigned i = 0; i < d->n; i++)
                drv_rebase(d->vring[i], 0);
}

static void qemu_start(struct fe_device *d, bool first)
{
        uint64_t status;

        OK(fe_set_features(&d->conn, d->features));
        OK(fe_get_status(&d->conn, &status));
        OK(fe_set_status(&d->conn, status | 8));
        d->options.queues = d->n;
        OK(fe_device_inflight(d));
        calls(d);
        OK(fe_set_features(&d->conn, d->features));
        if (first)
                OK(fe_device_send_memory(d));
        OK(fe_device_start_vring(d, 0, 0)); /* the guest uses one ring only */
        enable(d, 4, true);
        OK(fe_set_status(&d->conn, 0xf));
        calls(d); /* irqfd switch */
}

/* QEMU 7.2: vhost-user-blk with four queues, a guest that uses one and reboots twice. */
START_TEST(qemu)
{
        RIG(rig);
        struct fe_device d = prepare(&rig, (struct fe_options){ .queues = 2 });
        struct fe_conn channel;
        uint64_t value;
        uint32_t base;
        char config[57];

        OK(fe_get_features(&d.conn, &value));
        protocol(&d, UINT64_MAX, true);
        OK(fe_get_queue_num(&d.conn, &value));
        OK(fe_get_max_mem_slots(&d.conn, &value));
        OK(fe_set_backend_req_fd(&d.conn, &channel));
        d.conn.need_reply = false;
        OK(fe_set_owner(&d.conn));
        OK(fe_get_features(&d.conn, &value));
        for (unsigned i = 0; i < 4; i++) {
                OK(fe_set_vring_fd(&d.conn, VU_SET_VRING_CALL, i, d.vring[i & 1]->call.num));
                OK(fe_set_vring_fd(&d.conn, VU_SET_VRING_ERR, i, d.vring[i & 1]->err.num));
        }
        OK(fe_get_config(&d.conn, 0, config, sizeof(config)));
        for (unsigned boot = 0; boot < 3; boot++) {
                qemu_start(&d, !boot);
                serve(&rig, &d);
                OK(fe_set_status(&d.conn, 0)); /* before the bases are fetched */
                enable(&d, 4, false);
                OK(fe_get_vring_base(&d.conn, 0, &base));
                ck_assert_uint_eq(base, 5);
                again(&d);
        }
        fe_close(&channel);
        fe_device_drop(&d);
}
END_TEST

START_TEST(dpdk)
{
        RIG(rig);
        struct fe_device d = prepare(&rig, (struct fe_options){ .queues = 2, .mem_table = true });
        uint64_t value;

        OK(fe_set_owner(&d.conn));
        OK(fe_get_features(&d.conn, &value));
        protocol(&d, 1u << VU_PF_MQ | 1u << VU_PF_REPLY_ACK | 1u << VU_PF_STATUS, false);
        for (unsigned boot = 0; boot < 3; boot++) {
                calls(&d);
                OK(fe_set_features(&d.conn, d.features));
                d.conn.need_reply = true;
                OK(fe_set_status(&d.conn, 0xb));
                OK(fe_device_send_memory(&d));
                d.conn.need_reply = false;
                OK(fe_device_start_vring(&d, 0, 0));
                OK(fe_device_start_vring(&d, 1, 0));
                enable(&d, 2, true);
                d.conn.need_reply = true;
                OK(fe_set_status(&d.conn, 0xf));
                serve(&rig, &d);
                d.conn.need_reply = false;
                enable(&d, 2, false);
                stop_all(&d);
                again(&d);
        }
        fe_device_drop(&d);
}
END_TEST

/* User-Mode Linux: every message acknowledged, SET_PROTOCOL_FEATURES too; never GET_VRING_BASE. */
START_TEST(uml)
{
        RIG(rig);
        struct fe_device d = prepare(&rig, (struct fe_options){ .queues = 1, .mem_table = true });
        struct fe_conn channel;
        uint64_t value;
        char bytes[8];

        OK(fe_set_owner(&d.conn));
        OK(fe_get_features(&d.conn, &value));
        OK(fe_get_protocol_features(&d.conn, &value));
        OK(fe_set_protocol_features(&d.conn, 0x228));
        OK(fe_set_backend_req_fd(&d.conn, &channel));
        for (unsigned boot = 0; boot < 3; boot++) {
                struct vu_vring_addr addr = fe_device_vring_addr(&d, 0);

                addr.log = UINT64_MAX; /* as it sends it */
                OK(fe_set_features(&d.conn, d.features));
                OK(fe_get_config(&d.conn, 0, bytes, 8));
                OK(fe_get_config(&d.conn, 0, bytes, 1));
                OK(fe_device_send_memory(&d));
                calls(&d);
                OK(fe_set_vring_num(&d.conn, 0, 128));
                OK(fe_set_vring_base(&d.conn, 0, 0));
                OK(fe_set_vring_addr(&d.conn, &addr));
                OK(fe_set_vring_fd(&d.conn, VU_SET_VRING_KICK, 0, d.vring[0]->kick.num));
                enable(&d, 1, true);
                serve(&rig, &d);
                enable(&d, 1, false);
                OK(fe_get_features(&d.conn, &value));
                again(&d);
        }
        fe_close(&channel);
        fe_device_drop(&d);
}
END_TEST

/* cloud-hypervisor: ADDR before BASE, NUM first for all, the back-end's channel last, pause by ENABLE. */
START_TEST(cloud_hypervisor)
{
        RIG(rig);
        struct fe_device d = prepare(&rig, (struct fe_options){ .queues = 2, .mem_table = true });
        struct fe_conn channel;
        uint64_t value;

        OK(fe_set_owner(&d.conn));
        OK(fe_get_features(&d.conn, &value));
        protocol(&d, UINT64_MAX, true);
        OK(fe_set_features(&d.conn, d.features));
        OK(fe_device_send_memory(&d));
        OK(fe_set_vring_num(&d.conn, 0, 128));
        OK(fe_set_vring_num(&d.conn, 1, 128));
        OK(fe_device_inflight(&d));
        for (unsigned i = 0; i < 2; i++) {
                struct vu_vring_addr addr = fe_device_vring_addr(&d, i);

                OK(fe_set_vring_addr(&d.conn, &addr));
                OK(fe_set_vring_base(&d.conn, i, 0));
                OK(fe_set_vring_fd(&d.conn, VU_SET_VRING_CALL, i, d.vring[i]->call.num));
                OK(fe_set_vring_fd(&d.conn, VU_SET_VRING_KICK, i, d.vring[i]->kick.num));
        }
        enable(&d, 2, true);
        OK(fe_set_backend_req_fd(&d.conn, &channel));
        serve(&rig, &d);
        enable(&d, 2, false);
        enable(&d, 2, true);
        serve(&rig, &d);
        fe_close(&channel);
        OK(fe_device_stop(&d));
}
END_TEST

/* crosvm: no acks at all, per ring NUM ADDR BASE CALL KICK ENABLE, the features only once. */
START_TEST(crosvm)
{
        RIG(rig);
        struct fe_device d = prepare(&rig, (struct fe_options){ .queues = 2, .mem_table = true });
        struct fe_conn channel;
        uint64_t value;

        OK(fe_set_owner(&d.conn));
        OK(fe_get_features(&d.conn, &value));
        protocol(&d, UINT64_MAX, false);
        OK(fe_set_backend_req_fd(&d.conn, &channel));
        OK(fe_get_queue_num(&d.conn, &value));
        OK(fe_set_features(&d.conn, d.features));
        for (unsigned boot = 0; boot < 3; boot++) {
                OK(fe_device_send_memory(&d));
                for (unsigned i = 0; i < 2; i++) {
                        struct vu_vring_addr addr = fe_device_vring_addr(&d, i);

                        OK(fe_set_vring_num(&d.conn, i, 128));
                        OK(fe_set_vring_addr(&d.conn, &addr));
                        OK(fe_set_vring_base(&d.conn, i, 0));
                        OK(fe_set_vring_fd(&d.conn, VU_SET_VRING_CALL, i, d.vring[i]->call.num));
                        OK(fe_set_vring_fd(&d.conn, VU_SET_VRING_KICK, i, d.vring[i]->kick.num));
                        OK(fe_set_vring_enable(&d.conn, i, true));
                }
                serve(&rig, &d);
                enable(&d, 2, false);
                stop_all(&d);
                again(&d);
        }
        fe_close(&channel);
        fe_device_drop(&d);
}
END_TEST

/* An old front-end that knows no protocol features at all: what libvhost-user served ten years ago. */
START_TEST(plain)
{
        RIG(rig);
        struct fe_device d = prepare(&rig, (struct fe_options){ .queues = 1, .mem_table = true });
        uint64_t value;

        d.features &= ~VIRTIO_BIT(VU_F_PROTOCOL_FEATURES);
        OK(fe_set_owner(&d.conn));
        OK(fe_get_features(&d.conn, &value));
        OK(fe_set_features(&d.conn, d.features));
        OK(fe_device_send_memory(&d));
        OK(fe_device_start_vring(&d, 0, 0));
        serve(&rig, &d);
        OK(fe_device_stop(&d));
}
END_TEST

START_TEST(rng)
{
        RIG_WITH(rig, .type = "rng");
        struct fe_device d = rig_device(&rig, (struct fe_options){ .queues = 1 });
        uint8_t zero[64] = { 0 }, seen[64] = { 0 };
        struct fe_buf buf;
        uint32_t got;

        OK(fe_mem_alloc(d.mem, 0, 64 << 10, 4096, &buf));
        for (unsigned i = 0; i < 200; i++) {
                memset(buf.at, 0, sizeof(zero));
                OK(drv_rng_read(d.vring[0], &buf, sizeof(zero), &got));
                ck_assert_uint_eq(got, sizeof(zero));
                ck_assert_mem_ne(buf.at, zero, sizeof(zero));
                ck_assert_mem_ne(buf.at, seen, sizeof(seen));
                memcpy(seen, buf.at, sizeof(seen));
        }
        OK(drv_rng_read(d.vring[0], &buf, 64 << 10, &got));
        OK(drv_rng_read(d.vring[0], &buf, 1, &got));
        OK(fe_device_stop(&d));
}
END_TEST

int main(void)
{
        Suite *s = suite_create("orders");
        TCase *c = tcase_create("orders");

        tcase_set_timeout(c, 60);
        tcase_add_test(c, qemu);
        tcase_add_test(c, dpdk);
        tcase_add_test(c, uml);
        tcase_add_test(c, cloud_hypervisor);
        tcase_add_test(c, crosvm);
        tcase_add_test(c, plain);
        tcase_add_test(c, rng);
        suite_add_tcase(s, c);
        return rig_main(s);
}
