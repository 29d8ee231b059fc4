/*
 * The messages of a front-end.
 */
#include "fe_msg.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int fe_get_u64(struct fe_conn *conn, uint32_t request, uint64_t *ret_value)
{
        struct fe_reply reply;
        int r = fe_ask(conn, request, NULL, 0, &reply);

        if (r)
                return r;
        fe_reply_done(&reply);
        if (reply.header.size != sizeof(reply.u64))
                return -EBADMSG;
        *ret_value = reply.u64;
        return 0;
}

int fe_set_u64(struct fe_conn *conn, uint32_t request, uint64_t value)
{
        return fe_tell(conn, request, &value, sizeof(value), NULL, 0);
}

int fe_get_features(struct fe_conn *conn, uint64_t *ret_features)
{
        return fe_get_u64(conn, VU_GET_FEATURES, ret_features);
}

int fe_set_features(struct fe_conn *conn, uint64_t features)
{
        return fe_set_u64(conn, VU_SET_FEATURES, features);
}

int fe_get_protocol_features(struct fe_conn *conn, uint64_t *ret_features)
{
        return fe_get_u64(conn, VU_GET_PROTOCOL_FEATURES, ret_features);
}

int fe_set_protocol_features(struct fe_conn *conn, uint64_t features)
{
        conn->protocol_features = features;
        return fe_set_u64(conn, VU_SET_PROTOCOL_FEATURES, features);
}

int fe_set_owner(struct fe_conn *conn)
{
        return fe_tell(conn, VU_SET_OWNER, NULL, 0, NULL, 0);
}

int fe_get_queue_num(struct fe_conn *conn, uint64_t *ret_queues)
{
        return fe_get_u64(conn, VU_GET_QUEUE_NUM, ret_queues);
}

int fe_get_max_mem_slots(struct fe_conn *conn, uint64_t *ret_slots)
{
        return fe_get_u64(conn, VU_GET_MAX_MEM_SLOTS, ret_slots);
}

int fe_set_mem_table(struct fe_conn *conn, const struct vu_region *regions, const int *fds, unsigned n)
{
        struct vu_mem_table table = { .n = n };

        if (n > VU_TABLE_REGIONS_MAX)
                return -E2BIG;
        memcpy(table.region, regions, n * sizeof(*regions));
        return fe_tell(conn, VU_SET_MEM_TABLE, &table, offsetof(struct vu_mem_table, region[n]), fds, n);
}

int fe_add_mem_reg(struct fe_conn *conn, const struct vu_region *region, int fd)
{
        struct vu_mem_reg message = { .region = *region };

        return fe_tell(conn, VU_ADD_MEM_REG, &message, sizeof(message), &fd, 1);
}

int fe_rem_mem_reg(struct fe_conn *conn, const struct vu_region *region)
{
        struct vu_mem_reg message = { .region = *region };

        return fe_tell(conn, VU_REM_MEM_REG, &message, sizeof(message), NULL, 0);
}

static int tell_state(struct fe_conn *conn, uint32_t request, uint32_t index, uint32_t num)
{
        struct vu_vring_state state = { .index = index, .num = num };

        return fe_tell(conn, request, &state, sizeof(state), NULL, 0);
}

int fe_set_vring_num(struct fe_conn *conn, uint32_t index, uint32_t size)
{
        return tell_state(conn, VU_SET_VRING_NUM, index, size);
}

int fe_set_vring_addr(struct fe_conn *conn, const struct vu_vring_addr *addr)
{
        return fe_tell(conn, VU_SET_VRING_ADDR, addr, sizeof(*addr), NULL, 0);
}

int fe_set_vring_base(struct fe_conn *conn, uint32_t index, uint32_t base)
{
        return tell_state(conn, VU_SET_VRING_BASE, index, base);
}

int fe_set_vring_enable(struct fe_conn *conn, uint32_t index, bool on)
{
        return tell_state(conn, VU_SET_VRING_ENABLE, index, on);
}

int fe_get_vring_base(struct fe_conn *conn, uint32_t index, uint32_t *ret_base)
{
        struct vu_vring_state state = { .index = index };
        struct fe_reply reply;
        int r = fe_ask(conn, VU_GET_VRING_BASE, &state, sizeof(state), &reply);

        if (r)
                return r;
        fe_reply_done(&reply);
        if (reply.header.size != sizeof(state) || reply.state.index != index)
                return -EBADMSG;
        *ret_base = reply.state.num;
        return 0;
}

int fe_set_vring_fd(struct fe_conn *conn, uint32_t request, uint32_t index, int fd)
{
        uint64_t word = index | (fd < 0 ? VU_VRING_NOFD : 0);

        return fe_tell(conn, request, &word, sizeof(word), &fd, fd < 0 ? 0 : 1);
}

int fe_get_inflight_fd(struct fe_conn *conn, uint16_t queues, uint16_t size, struct vu_inflight *ret_inflight,
                       struct fd *ret_fd)
{
        struct vu_inflight ask = { .queues = queues, .queue_size = size };
        struct fe_reply reply;
        int r = fe_ask(conn, VU_GET_INFLIGHT_FD, &ask, sizeof(ask), &reply);

        if (r)
                return r;
        if (reply.header.size != sizeof(ask) || reply.n_fds > 1)
                r = -EBADMSG;
        else if (!reply.n_fds || !reply.inflight.size)
                r = -ENODATA;
        if (!r) {
                *ret_inflight = reply.inflight;
                *ret_fd = fd_take(&reply.fd[0]);
        }
        fe_reply_done(&reply);
        return r;
}

int fe_set_inflight_fd(struct fe_conn *conn, const struct vu_inflight *inflight, int fd)
{
        return fe_tell(conn, VU_SET_INFLIGHT_FD, inflight, sizeof(*inflight), &fd, 1);
}

int fe_get_config(struct fe_conn *conn, uint32_t offset, void *to, uint32_t n)
{
        struct vu_config ask = { .offset = offset, .size = n };
        struct fe_reply reply;
        int r;

        if (n > sizeof(ask.bytes))
                return -E2BIG;
        r = fe_ask(conn, VU_GET_CONFIG, &ask, offsetof(struct vu_config, bytes) + n, &reply);
        if (r)
                return r;
        fe_reply_done(&reply);
        if (reply.header.size == 0)
                return -ENODATA;
        if (reply.header.size != offsetof(struct vu_config, bytes) + n || reply.config.size != n ||
            reply.config.offset != offset)
                return -EBADMSG;
        memcpy(to, reply.config.bytes, n);
        return 0;
}

int fe_set_config(struct fe_conn *conn, uint32_t offset, const void *from, uint32_t n, uint32_t flags)
{
        struct vu_config config = { .offset = offset, .size = n, .flags = flags };

        if (n > sizeof(config.bytes))
                return -E2BIG;
        memcpy(config.bytes, from, n);
        return fe_tell(conn, VU_SET_CONFIG, &config, offsetof(struct vu_config, bytes) + n, NULL, 0);
}

int fe_get_status(struct fe_conn *conn, uint64_t *ret_status)
{
        return fe_get_u64(conn, VU_GET_STATUS, ret_status);
}

int fe_set_status(struct fe_conn *conn, uint64_t status)
{
        return fe_set_u64(conn, VU_SET_STATUS, status);
}

int fe_reset_device(struct fe_conn *conn)
{
        return fe_tell(conn, VU_RESET_DEVICE, NULL, 0, NULL, 0);
}

int fe_set_backend_req_fd(struct fe_conn *conn, struct fe_conn *ret_channel)
{
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
                return -errno;
        AUTO_FD ours = { pair[0] };
        AUTO_FD theirs = { pair[1] };

        r = fe_tell(conn, VU_SET_BACKEND_REQ_FD, NULL, 0, &theirs.num, 1);
        if (!r)
                *ret_channel = fe_adopt(fd_take(&ours));
        return r;
}
