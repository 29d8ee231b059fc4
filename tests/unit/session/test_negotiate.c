/*
 * Negotiation, in the orders of the front-ends that were recorded; features, acks, status, reset, config.
 */
#include "rig.h"

#include "array.h"
#include "clock.h"
#include "virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void tell_backend_channel(struct rig *rig, int *ret_channel)
{
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        rig_tell(rig, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[0], 1);
        close(pair[0]);
        *ret_channel = pair[1];
}

static int get_inflight(struct rig *rig, struct vu_inflight *area)
{
        int fd;

        rig_send(rig, VU_GET_INFLIGHT_FD, VU_VERSION, area, sizeof(*area), NULL, 0);
        ck_assert_int_eq(rig_reply(rig, VU_GET_INFLIGHT_FD, area, sizeof(*area), &fd), sizeof(*area));
        return fd;
}

static void settings(struct rig *rig, uint32_t index)
{
        struct vu_vring_addr addr = rig_addr(index);

        addr.log = UINT64_MAX; /* User-Mode Linux */
        rig_tell_state(rig, VU_SET_VRING_NUM, index, 128);
        rig_tell_state(rig, VU_SET_VRING_BASE, index, 0);
        rig_tell(rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

static uint32_t get_base(struct rig *rig, uint32_t index)
{
        struct vu_vring_state state = { .index = index };

        rig_send(rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
        ck_assert_int_eq(rig_reply(rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), sizeof(state));
        ck_assert_uint_eq(state.index, index);
        return state.num;
}

START_TEST(qemu)
{
        struct vu_inflight area = { .queues = RIG_QUEUES, .queue_size = 128 };
        struct vu_mem_reg memory = { .region = { .size = RIG_MEMORY, .uva = RIG_UVA } };
        struct vu_config config = { .size = 57 };
        int channel, fd, ram = rig_file(RIG_MEMORY);
        const struct ipc_vring_start *start;
        struct rig rig;

        rig_init(&rig);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_FEATURES), RIG_FEATURES | LOG_ALL | BIT30);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_PROTOCOL_FEATURES), RIG_PROTOCOL);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_QUEUE_NUM), RIG_QUEUES);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_MAX_MEM_SLOTS), 509);
        tell_backend_channel(&rig, &channel);
        rig_tell(&rig, VU_SET_OWNER, NULL, 0, NULL, 0);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_FEATURES), RIG_FEATURES | LOG_ALL | BIT30);
        for (uint32_t i = 0; i < RIG_QUEUES; i++) {
                rig_tell_fd(&rig, VU_SET_VRING_CALL, i);
                rig_tell_fd(&rig, VU_SET_VRING_ERR, i);
        }
        rig_send(&rig, VU_GET_CONFIG, VU_VERSION, &config, 12 + 57, NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_CONFIG, &config, sizeof(config), NULL), 12 + 57);
        ck_assert_uint_eq(rig.n_seen, 0); /* all this without a word to the worker */

        rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1 | BIT30);
        rig_tell_u64(&rig, VU_SET_STATUS, 8);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_STATUS), 8);
        fd = get_inflight(&rig, &area);
        rig_tell(&rig, VU_SET_INFLIGHT_FD, &area, sizeof(area), &fd, 1);
        close(fd);
        rig_got(&rig, IPC_INFLIGHT);
        rig_tell_fd(&rig, VU_SET_VRING_CALL, 0);
        rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1 | BIT30);
        ck_assert_uint_eq(rig_ask(&rig, VU_ADD_MEM_REG, &memory, sizeof(memory), &ram, 1), 0);
        for (uint32_t i = 0; i < 2; i++) { /* two of four are configured */
                settings(&rig, i);
                rig_tell_fd(&rig, VU_SET_VRING_KICK, i);
                start = rig_got(&rig, IPC_VRING_START);
                ck_assert_uint_eq(start->index, i);
                ck_assert_uint_eq(start->resume, 1); /* the area is the front-end's */
                ck_assert_uint_eq(start->enabled, 0);
                ck_assert_uint_eq(start->fds, IPC_KICK | IPC_CALL | IPC_ERR);
                ck_assert_uint_eq(start->avail, RIG_UVA + i * 0x10000 + 0x4000);
                ck_assert_uint_eq(rig.seen[rig.n_seen - 1].n_fds, 3);
        }
        for (uint32_t i = 0; i < RIG_QUEUES; i++)
                rig_tell_state(&rig, VU_SET_VRING_ENABLE, i, 1);
        ck_assert_uint_eq(rig_count(&rig, IPC_VRING_ENABLE), 2);
        rig_tell_u64(&rig, VU_SET_STATUS, 0xf);
        rig_tell_fd(&rig, VU_SET_VRING_CALL, 1);
        rig_got(&rig, IPC_VRING_FD);

        rig_tell_u64(&rig, VU_SET_STATUS, 0); /* before the bases are fetched */
        for (uint32_t i = 0; i < RIG_QUEUES; i++)
                rig_tell_state(&rig, VU_SET_VRING_ENABLE, i, 0);
        rig.value = 77;
        ck_assert_uint_eq(get_base(&rig, 0), 77);
        ck_assert_uint_eq(get_base(&rig, 1), 77);
        ck_assert(rig.s->ledger.n_slots == 1 && !ledger_running(&rig.s->ledger));
        close(channel);
        rig_done(&rig);
        close(ram);
}
END_TEST

START_TEST(qemu_net_enables_before_all)
{
        struct rig rig;

        rig_init(&rig);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL);
        rig_tell_state(&rig, VU_SET_VRING_ENABLE, 0, 1);
        rig_tell_state(&rig, VU_SET_VRING_ENABLE, 1, 1);
        rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1 | BIT30);
        ck_assert(rig.s->ledger.vring[0].enabled && rig.s->ledger.vring[1].enabled && !rig.s->ledger.vring[2].enabled);
        rig_memory(&rig);
        settings(&rig, 0);
        rig_tell_fd(&rig, VU_SET_VRING_KICK, 0);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->enabled, 1);
        rig_done(&rig);
}
END_TEST

START_TEST(dpdk)
{
        uint64_t status = 0xb;
        struct rig rig;

        rig_init(&rig);
        rig_tell(&rig, VU_SET_OWNER, NULL, 0, NULL, 0);
        rig_get(&rig, VU_GET_FEATURES);
        rig_get(&rig, VU_GET_PROTOCOL_FEATURES);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, 1 << 0 | 1 << 3 | 1 << 16);
        rig_tell_fd(&rig, VU_SET_VRING_CALL, 0);
        rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1 | BIT30);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_STATUS, &status, 8, NULL, 0), 0);
        rig_memory(&rig);
        settings(&rig, 0);
        rig_tell_fd(&rig, VU_SET_VRING_KICK, 0);
        ck_assert_uint_eq(rig_count(&rig, IPC_INFLIGHT), 1); /* our own area */
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->resume, 0);
        rig_tell_state(&rig, VU_SET_VRING_ENABLE, 0, 1);
        rig_tell_state(&rig, VU_SET_VRING_ENABLE, 0, 0);
        rig.value = 5;
        ck_assert_uint_eq(get_base(&rig, 0), 5);
        ck_assert_uint_eq(get_base(&rig, 3), 0); /* never configured */
        rig_done(&rig);
}
END_TEST

START_TEST(user_mode_linux)
{
        const uint64_t mask = 1 << 3 | 1 << 5 | 1 << 9, features = VERSION_1 | BIT30;
        struct vu_mem_table table = { .n = 1, .region = { { .size = RIG_MEMORY, .uva = RIG_UVA } } };
        struct vu_config config = { .offset = 4, .size = 4 };
        struct vu_vring_state state = { 0 };
        struct vu_vring_addr addr = rig_addr(0);
        int ram = rig_file(RIG_MEMORY);
        uint64_t zero = 0;
        struct rig rig;

        rig_init(&rig);
        rig_tell(&rig, VU_SET_OWNER, NULL, 0, NULL, 0);
        rig_get(&rig, VU_GET_FEATURES);
        rig_get(&rig, VU_GET_PROTOCOL_FEATURES);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_PROTOCOL_FEATURES, &mask, 8, NULL, 0), 0); /* waits for this one */
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &features, 8, NULL, 0), 0);
        rig_send(&rig, VU_GET_CONFIG, VU_VERSION, &config, 16, NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_CONFIG, &config, sizeof(config), NULL), 16);
        ck_assert_mem_eq(config.bytes, "\x05\x06\x07\x08", 4);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_MEM_TABLE, &table, 72, &ram, 1), 0);
        for (unsigned round = 0; round < 2; round++) { /* set up again without GET_VRING_BASE */
                state.num = 64;
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_CALL, &zero, 8, &ram, 1), 0);
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_NUM, &state, 8, NULL, 0), 0);
                ck_assert_uint_eq(rig_count(&rig, IPC_VRING_STOP), round);
                state.num = 0;
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_BASE, &state, 8, NULL, 0), 0);
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ADDR, &addr, 40, NULL, 0), 0);
                ck_assert_int_eq(rig.s->ledger.vring[0].state, VRING_STOPPED);
                ck_assert(fd_has(&rig.s->ledger.vring[0].call));
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_KICK, &zero, 8, &ram, 1), 0);
                ck_assert_int_eq(rig.s->ledger.vring[0].state, VRING_STARTED);
                ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->base, 0);
                state.num = 1;
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ENABLE, &state, 8, NULL, 0), 0);
                state.num = 0;
                rig.value = 9;
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ENABLE, &state, 8, NULL, 0), 0);
                rig_get(&rig, VU_GET_FEATURES);
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &features, 8, NULL, 0), 0);
        }
        rig_done(&rig);
        close(ram);
}
END_TEST

START_TEST(cloud_hypervisor)
{
        const uint64_t mask = 1 << 0 | 1 << 3 | 1 << 9 | 1 << 12 | 1 << 15, features = VERSION_1 | BIT30;
        struct vu_inflight area = { .queues = 1, .queue_size = 128 };
        struct vu_vring_state state = { .num = 128 };
        struct vu_vring_addr addr = rig_addr(0);
        uint64_t zero = 0;
        int fd;
        struct rig rig;

        rig_init(&rig);
        rig_tell(&rig, VU_SET_OWNER, NULL, 0, NULL, 0);
        rig_get(&rig, VU_GET_FEATURES);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, mask); /* a reconnect asks for none before */
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &features, 8, NULL, 0), 0);
        rig_memory(&rig);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_NUM, &state, 8, NULL, 0), 0);
        rig_send(&rig, VU_GET_INFLIGHT_FD, VU_VERSION | VU_FLAG_NEED_REPLY, &area, 20, NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_INFLIGHT_FD, &area, sizeof(area), &fd), 20);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_INFLIGHT_FD, &area, 20, &fd, 1), 0);
        close(fd);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ADDR, &addr, 40, NULL, 0), 0);
        state.num = 3;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_BASE, &state, 8, NULL, 0), 0);
        fd = rig_file(0);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_CALL, &zero, 8, &fd, 1), 0);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_KICK, &zero, 8, &fd, 1), 0);
        close(fd);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->base, 3);
        state.num = 0; /* one reply, not two, although it asks for an ack each time */
        rig.value = 4;
        rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION | VU_FLAG_NEED_REPLY, &state, 8, NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), 8);
        ck_assert_uint_eq(state.num, 4);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), -1);
        rig_done(&rig);
}
END_TEST

START_TEST(features_without_bit_30_enable_all)
{
        struct rig rig;

        rig_init(&rig);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL);
        rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1);
        ck_assert_uint_eq(((const struct ipc_features *) rig_got(&rig, IPC_FEATURES))->enable_all, 1);
        for (unsigned i = 0; i < RIG_QUEUES; i++)
                ck_assert(rig.s->ledger.vring[i].enabled);
        ck_assert_uint_eq(rig.s->ledger.protocol, RIG_PROTOCOL); /* revokes nothing */
        rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1 | BIT30);  /* changes nothing */
        for (unsigned i = 0; i < RIG_QUEUES; i++)
                ck_assert(rig.s->ledger.vring[i].enabled);
        rig_done(&rig);
}
END_TEST

START_TEST(features_not_offered_fail)
{
        uint64_t features[] = { VERSION_1 | 1, VERSION_1 | 1 << 27, UINT64_MAX };
        struct rig rig;

        rig_init(&rig);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL);
        rig_tell_u64(&rig, VU_SET_STATUS, 0xb);
        for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &features[i], 8, NULL, 0), 1);
        ck_assert(rig_logged(&rig, "SET_FEATURES: 0x1 was not offered: EINVAL"));
        ck_assert_uint_eq(rig_get(&rig, VU_GET_STATUS), 0x3); /* FEATURES_OK is not so */
        ck_assert_uint_eq(rig.n_seen, 0);
        rig.refuse = -EINVAL;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &(uint64_t){ VERSION_1 }, 8, NULL, 0), 1);
        ck_assert(!rig.s->ledger.has_features);
        rig_done(&rig);
}
END_TEST

START_TEST(features_of_running_vrings_stay)
{
        const uint64_t other = VERSION_1 | BIT30 | 1 << 9;
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_memory(&rig);
        rig_start(&rig, 0);
        rig_start(&rig, 2);
        rig_tell_state(&rig, VU_SET_VRING_ENABLE, 2, 1);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &other, 8, NULL, 0), 1);
        rig_tell_state(&rig, VU_SET_VRING_ENABLE, 2, 0);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &other, 8, NULL, 0), 0); /* stops them first */
        ck_assert_uint_eq(rig_count(&rig, IPC_VRING_STOP), 2);
        ck_assert(!ledger_running(&rig.s->ledger));
        ck_assert_uint_eq(rig.s->ledger.features, VERSION_1 | 1 << 9);
        rig_done(&rig);
}
END_TEST

enum { BACKEND_REQ = 1 << VU_PF_BACKEND_REQ };

static void init_with_iommu(struct rig *rig)
{
        rig_init_early(rig);
        rig->s->allowed.features |= VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
        rig_ready(rig);
        rig_tell_u64(rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL);
        rig_tell_u64(rig, VU_SET_FEATURES, VERSION_1 | BIT30 | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM));
        ck_assert_uint_eq(((const struct ipc_features *) rig_got(rig, IPC_FEATURES))->iommu, 1);
}

/* The same features are no others only if they mean the same. */
START_TEST(the_worker_hears_what_protocol_features_change)
{
        const uint64_t features = VERSION_1 | BIT30 | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
        struct rig rig;

        init_with_iommu(&rig);
        rig_forget(&rig);
        rig_tell_u64(&rig, VU_SET_FEATURES, features);
        ck_assert_uint_eq(rig.n_seen, 0);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL & ~(uint64_t) BACKEND_REQ);
        rig_tell_u64(&rig, VU_SET_FEATURES, features);
        ck_assert_uint_eq(((const struct ipc_features *) rig_got(&rig, IPC_FEATURES))->iommu, 0);
        ck_assert(!rig.s->ledger.iommu);
        rig_done(&rig);
}
END_TEST

START_TEST(protocol_features_not_offered_are_ignored)
{
        uint64_t all = UINT64_MAX, offered;
        struct rig rig;

        rig_init(&rig);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, 1 << VU_PF_REPLY_ACK);
        offered = rig_get(&rig, VU_GET_PROTOCOL_FEATURES);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_PROTOCOL_FEATURES, &all, 8, NULL, 0), 0);
        ck_assert_uint_eq(rig.s->ledger.protocol, offered);
        ck_assert(rig_logged(&rig, "was not offered: ignored"));
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, 0); /* replaces the set */
        rig_send(&rig, VU_SET_OWNER, VU_VERSION | VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_SET_OWNER, &all, 8, NULL), -1);
        ck_assert(!rig.s->over);
        rig_done(&rig);
}
END_TEST

START_TEST(policy_limits_what_is_offered)
{
        struct rig rig;

        rig_init_early(&rig);
        rig.s->allowed.features = VERSION_1 | BIT30 | 1 << VU_F_LOG_ALL;
        rig.s->allowed.protocol_features = UINT64_MAX & ~(UINT64_C(1) << VU_PF_CONFIG);
        rig_ready(&rig);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_FEATURES), VERSION_1 | BIT30 | LOG_ALL);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_PROTOCOL_FEATURES),
                          (RIG_PROTOCOL | 1 << VU_PF_INBAND_NOTIFICATIONS | 1 << VU_PF_PAGEFAULT) & ~(UINT64_C(1) << VU_PF_CONFIG));
        rig_done(&rig);
}
END_TEST

START_TEST(reset_device_keeps_the_connection)
{
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_memory(&rig);
        rig_start(&rig, 0);
        rig_tell_state(&rig, VU_SET_VRING_ENABLE, 0, 1);
        rig_tell_u64(&rig, VU_SET_STATUS, 0xf);
        rig_tell(&rig, VU_RESET_OWNER, NULL, 0, NULL, 0); /* ignored */
        ck_assert(ledger_running(&rig.s->ledger));
        rig_tell(&rig, VU_RESET_DEVICE, NULL, 0, NULL, 0);
        rig_got(&rig, IPC_RESET);
        ck_assert(!ledger_running(&rig.s->ledger) && !rig.s->ledger.vring[0].enabled);
        ck_assert_uint_eq(rig.s->ledger.features, 0);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_STATUS), 0);
        ck_assert_uint_eq(rig.s->ledger.protocol, RIG_PROTOCOL);
        ck_assert_uint_eq(rig.s->ledger.n_slots, 1);
        ck_assert_uint_eq(get_base(&rig, 0), 0);
        rig_done(&rig);
}
END_TEST

static int get_config(struct rig *rig, uint32_t offset, uint32_t size, uint32_t payload, struct vu_config *config)
{
        *config = (struct vu_config){ .offset = offset, .size = size, .flags = 1 };
        rig_send(rig, VU_GET_CONFIG, VU_VERSION, config, payload, NULL, 0);
        return rig_reply(rig, VU_GET_CONFIG, config, sizeof(*config), NULL);
}

START_TEST(reads_config_anywhere)
{
        struct vu_config config;
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        ck_assert_int_eq(get_config(&rig, 58, 4, 16, &config), 16);
        ck_assert_mem_eq(config.bytes, "\x3b\x3c\x00\x00", 4); /* zeros beyond the device's own */
        ck_assert_uint_eq(config.offset, 58);
        ck_assert_uint_eq(config.size, 4);
        ck_assert_int_eq(get_config(&rig, 0, 256, 268, &config), 268);
        ck_assert_uint_eq(config.bytes[59], 60);
        ck_assert_uint_eq(config.bytes[60], 0);
        ck_assert_int_eq(get_config(&rig, UINT32_MAX, 256, 268, &config), 268);
        ck_assert_uint_eq(config.bytes[0] | config.bytes[255], 0);
        ck_assert_int_eq(get_config(&rig, 0, 257, 268, &config), 0);
        ck_assert_int_eq(get_config(&rig, 0, 0, 12, &config), 0);
        ck_assert_int_eq(get_config(&rig, 0, UINT32_MAX, 12, &config), 0);
        ck_assert(!rig.s->over);
        rig_done(&rig);
}
END_TEST

START_TEST(writes_config_through_the_worker)
{
        struct vu_config config = { .offset = 32, .size = 1, .bytes = { 1 } };
        const struct ipc_set_config *seen;
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_CONFIG, &config, 13, NULL, 0), 0);
        seen = rig_got(&rig, IPC_SET_CONFIG);
        ck_assert(seen->offset == 32 && seen->size == 1 && seen->bytes[0] == 1 && seen->bytes[1] == 0);
        rig.refuse = -EINVAL;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_CONFIG, &config, 13, NULL, 0), 1);
        rig_forget(&rig);
        rig.refuse = 0;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_CONFIG, &config, 12, NULL, 0), 1); /* fewer bytes than it says */
        config.size = 0;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_CONFIG, &config, 12, NULL, 0), 1);
        config.size = 2;
        config.offset = 255;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_CONFIG, &config, 14, NULL, 0), 1);
        config.offset = UINT32_MAX;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_CONFIG, &config, 14, NULL, 0), 1);
        ck_assert_uint_eq(rig.n_seen, 0);
        rig_done(&rig);
}
END_TEST

static void expect_config_change(int channel, bool expected)
{
        struct vu_header header;
        ssize_t got = read(channel, &header, sizeof(header));

        ck_assert_int_eq(got, expected ? (ssize_t) sizeof(header) : -1);
        if (expected)
                ck_assert(header.request == VU_BACKEND_CONFIG_CHANGE_MSG && header.flags == 1 && header.size == 0);
}

START_TEST(tells_config_changes)
{
        struct ipc_config change = { .notify = 1, .size = 8, .bytes = { 42 } };
        struct vu_config config;
        int first, second;
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_from_worker(&rig, IPC_CONFIG, 0, &change, sizeof(change)); /* before there is a channel */
        ck_assert_int_eq(get_config(&rig, 0, 1, 13, &config), 13);
        ck_assert_uint_eq(config.bytes[0], 42);
        tell_backend_channel(&rig, &first);
        fd_nonblock(first, true);
        expect_config_change(first, true);
        tell_backend_channel(&rig, &second); /* replaces it */
        fd_nonblock(second, true);
        expect_config_change(second, false);
        rig_from_worker(&rig, IPC_CONFIG, 0, &change, sizeof(change));
        expect_config_change(second, true);
        change.notify = 0;
        rig_from_worker(&rig, IPC_CONFIG, 0, &change, sizeof(change));
        expect_config_change(second, false);
        ck_assert_int_eq(read(first, &config, 1), 0); /* closed */
        close(first);
        close(second);
        change.notify = 1;
        rig_from_worker(&rig, IPC_CONFIG, 0, &change, sizeof(change)); /* into a channel that has gone */
        ck_assert(!rig.s->over && !fd_has(&rig.s->ledger.backend));
        rig_done(&rig);
}
END_TEST

START_TEST(takes_a_pipe_as_channel_and_never_blocks_on_it)
{
        struct ipc_config change = { .notify = 1, .size = 8 };
        int ends[2], file = rig_file(0);
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_BACKEND_REQ_FD, NULL, 0, &file, 1), 1);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_BACKEND_REQ_FD, NULL, 0, NULL, 0), 1);
        ck_assert_int_eq(pipe(ends), 0);
        ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_BACKEND_REQ_FD, NULL, 0, &ends[1], 1), 0);
        for (unsigned i = 0; i < 600; i++) /* more than it holds */
                rig_from_worker(&rig, IPC_CONFIG, 0, &change, sizeof(change));
        ck_assert(!rig.s->over && fd_has(&rig.s->ledger.backend));
        expect_config_change(ends[0], true);
        close(ends[0]);
        close(ends[1]);
        rig_done(&rig);
        close(file);
}
END_TEST

static bool read_all(int channel)
{
        bool any = false;
        char bytes[4096];

        while (recv(channel, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                any = true;
        return any;
}

/* Nothing comes: the session sleeps as long as it is told to, whatever it would have to say. */
static void expect_sleep(struct rig *rig, int ms)
{
        long long from = clock_now_ns();

        session_step(rig->s, ms);
        ck_assert_int_ge(clock_now_ns() - from, (ms - 1) * MS_NS);
}

START_TEST(a_full_channel_is_waited_for_while_it_counts)
{
        struct ipc_iotlb_miss miss = { .access = IPC_READ };
        struct rig rig;
        int channel;

        init_with_iommu(&rig);
        tell_backend_channel(&rig, &channel);
        for (unsigned i = 0; i < 10000 && !rig.s->misses_due; i++)
                rig_from_worker(&rig, IPC_IOTLB_MISS, 0, &miss, sizeof(miss));
        ck_assert(rig.s->misses_due);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL & ~(uint64_t) BACKEND_REQ);
        ck_assert(read_all(channel));
        expect_sleep(&rig, 30);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL); /* and it is the same channel */
        ck_assert(!rig.s->misses_due && read_all(channel));
        close(channel);
        rig_done(&rig);
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = {
                &qemu, &qemu_net_enables_before_all, &dpdk, &user_mode_linux, &cloud_hypervisor,
                &features_without_bit_30_enable_all, &features_not_offered_fail, &features_of_running_vrings_stay,
                &the_worker_hears_what_protocol_features_change, &protocol_features_not_offered_are_ignored, &policy_limits_what_is_offered,
                &reset_device_keeps_the_connection, &reads_config_anywhere, &writes_config_through_the_worker,
                &tells_config_changes, &takes_a_pipe_as_channel_and_never_blocks_on_it,
                &a_full_channel_is_waited_for_while_it_counts,
        };

        return rig_main("negotiate", tests, ARRAY_SIZE(tests));
}
