/*
 * The message table, the gate, and the answers (vhost-user, "Communication"). What a message means is its handler's
 * business; how much of it there may be, when, and what is said about it, is decided here.
 */
#include "vu_rules.h"

#include "array.h"
#include "handlers.h"
#include "own_end.h"
#include "session.h"

#include <errno.h>
#include <stddef.h>

enum {
        U64 = sizeof(uint64_t),
        STATE = sizeof(struct vu_vring_state),
        ADDR = sizeof(struct vu_vring_addr),
        LOG = sizeof(struct vu_log),
        REGION = sizeof(struct vu_mem_reg),
        CONFIG = offsetof(struct vu_config, bytes),
        CONFIG_MAX = sizeof(struct vu_config),
        INFLIGHT = offsetof(struct vu_inflight, padding),
        INFLIGHT_MAX = sizeof(struct vu_inflight),
        IOTLB = 26, /* its fields */
        IOTLB_MAX = 32,
        LONG = VU_PAYLOAD_MAX, /* UML's memory table is longer than its regions */
};

#define ROW(request) [VU_##request] = { #request

static const struct vu_rule rules[VU_REQUESTS] = {
        /*                           least     most          fds needs                      when      answer             handler */
        ROW(GET_FEATURES),           0,        0,            0,  VU_ALWAYS,                 VU_ANY,   VU_REPLY,          get_features },
        ROW(SET_FEATURES),           U64,      U64,          0,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            set_features },
        ROW(SET_OWNER),              0,        U64,          0,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            set_owner },
        ROW(RESET_OWNER),            0,        U64,          0,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            reset_owner },
        ROW(SET_MEM_TABLE),          U64,      LONG,         VU_FDS_MAX, VU_ALWAYS,         VU_ANY,   VU_ACK,            set_mem_table },
        ROW(SET_LOG_BASE),           LOG,      LOG,          1,  VU_PF_LOG_SHMFD,           VU_ANY,   VU_REPLY_OR_NACK,  set_log_base },
        ROW(SET_LOG_FD),             0,        U64,          1,  VU_PF_LOG_SHMFD,           VU_ANY,   VU_ACK,            set_log_fd },
        ROW(SET_VRING_NUM),          STATE,    STATE,        0,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            set_vring_num },
        ROW(SET_VRING_ADDR),         ADDR,     ADDR,         0,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            set_vring_addr },
        ROW(SET_VRING_BASE),         STATE,    STATE,        0,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            set_vring_base },
        ROW(GET_VRING_BASE),         STATE,    STATE,        0,  VU_ALWAYS,                 VU_ANY,   VU_REPLY,          get_vring_base },
        ROW(SET_VRING_KICK),         U64,      U64,          1,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            set_vring_kick },
        ROW(SET_VRING_CALL),         U64,      U64,          1,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            set_vring_call },
        ROW(SET_VRING_ERR),          U64,      U64,          1,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            set_vring_err },
        ROW(GET_PROTOCOL_FEATURES),  0,        0,            0,  VU_ALWAYS,                 VU_ANY,   VU_REPLY,          get_protocol_features },
        ROW(SET_PROTOCOL_FEATURES),  U64,      U64,          0,  VU_ALWAYS,                 VU_SETUP, VU_ACK,            set_protocol_features },
        ROW(GET_QUEUE_NUM),          0,        0,            0,  VU_PF_MQ,                  VU_ANY,   VU_REPLY,          get_queue_num },
        ROW(SET_VRING_ENABLE),       STATE,    STATE,        0,  VU_ALWAYS,                 VU_ANY,   VU_ACK,            set_vring_enable },
        ROW(SET_BACKEND_REQ_FD),     0,        U64,          1,  VU_PF_BACKEND_REQ,         VU_ANY,   VU_ACK,            set_backend_req_fd },
        ROW(IOTLB_MSG),              IOTLB,    IOTLB_MAX,    0,  VU_ALWAYS,                 VU_ANY,   VU_U64,            iotlb_msg },
        ROW(GET_CONFIG),             CONFIG,   CONFIG_MAX,   0,  VU_PF_CONFIG,              VU_ANY,   VU_REPLY_OR_EMPTY, get_config },
        ROW(SET_CONFIG),             CONFIG,   CONFIG_MAX,   0,  VU_PF_CONFIG,              VU_ANY,   VU_ACK,            set_config },
        ROW(POSTCOPY_ADVISE),        0,        0,            0,  VU_PF_PAGEFAULT,           VU_ANY,   VU_REPLY_OR_EMPTY, postcopy_advise },
        ROW(POSTCOPY_LISTEN),        0,        0,            0,  VU_PF_PAGEFAULT,           VU_ANY,   VU_U64,            postcopy_listen },
        ROW(POSTCOPY_END),           0,        0,            0,  VU_PF_PAGEFAULT,           VU_ANY,   VU_U64,            postcopy_end },
        ROW(GET_INFLIGHT_FD),        INFLIGHT, INFLIGHT_MAX, 0,  VU_PF_INFLIGHT_SHMFD,      VU_ANY,   VU_REPLY_OR_ZERO,  get_inflight_fd },
        ROW(SET_INFLIGHT_FD),        INFLIGHT, INFLIGHT_MAX, 1,  VU_PF_INFLIGHT_SHMFD,      VU_SETUP, VU_ACK,            set_inflight_fd },
        ROW(RESET_DEVICE),           0,        U64,          0,  VU_PF_RESET_DEVICE,        VU_ANY,   VU_ACK,            reset_device },
        ROW(VRING_KICK),             STATE,    STATE,        0,  VU_PF_INBAND_NOTIFICATIONS, VU_ANY,  VU_ACK,            vring_kick },
        ROW(GET_MAX_MEM_SLOTS),      0,        0,            0,  VU_PF_CONFIGURE_MEM_SLOTS, VU_ANY,   VU_REPLY,          get_max_mem_slots },
        ROW(ADD_MEM_REG),            U64,      REGION,       1,  VU_PF_CONFIGURE_MEM_SLOTS, VU_ANY,   VU_ACK,            add_mem_reg },
        ROW(REM_MEM_REG),            REGION,   REGION,       1,  VU_PF_CONFIGURE_MEM_SLOTS, VU_ANY,   VU_ACK,            rem_mem_reg },
        ROW(SET_STATUS),             U64,      U64,          0,  VU_PF_STATUS,              VU_ANY,   VU_ACK,            set_status },
        ROW(GET_STATUS),             0,        0,            0,  VU_PF_STATUS,              VU_ANY,   VU_REPLY,          get_status },
        ROW(SET_DEVICE_STATE_FD),    STATE,    STATE,        1,  VU_PF_DEVICE_STATE,        VU_SETUP, VU_REPLY_OR_NO_FD, set_device_state_fd },
        ROW(CHECK_DEVICE_STATE),     0,        0,            0,  VU_PF_DEVICE_STATE,        VU_ANY,   VU_U64,            check_device_state },
};

const struct vu_rule *vu_rule_of(uint32_t request)
{
        return request < VU_REQUESTS && rules[request].name ? &rules[request] : NULL;
}

/* Of those that keep a descriptor without asking for a file, here or in the worker. */
static int check_end(const struct session *s, const struct vu_msg *m, int fd)
{
        switch (m->header.request) {
        case VU_SET_DEVICE_STATE_FD:
                if (m->state.direction == VU_STATE_LOAD)
                        return own_end_check_source(s->front.num, fd);
                __attribute__((fallthrough));
        case VU_SET_VRING_KICK:
        case VU_SET_VRING_CALL:
        case VU_SET_VRING_ERR:
        case VU_SET_LOG_FD:
        case VU_SET_BACKEND_REQ_FD:
                return own_end_check(s->front.num, fd);
        default:
                return 0;
        }
}

static int check_ends(struct session *s, const struct vu_msg *m)
{
        for (unsigned i = 0; i < m->n_fds; i++) {
                int r = check_end(s, m, m->fd[i].num);

                if (r == -ELOOP) {
                        session_end_quietly(s, SESSION_FRONT_END_FAILED);
                        return session_fail(s, r, "descriptor %u is the connection itself", i);
                }
                if (r < 0)
                        return session_fail(s, r, "descriptor %u: a socket that is no connected stream", i);
        }
        return 0;
}

/* The only way to a handler, which therefore checks meaning, never sizes. */
static int vu_dispatch(struct session *s, struct vu_msg *m)
{
        const struct vu_rule *rule = vu_rule_of(m->header.request);
        unsigned now = ledger_running(&s->ledger) ? VU_RUNNING : VU_SETUP;
        int r;

        if (!rule)
                return session_fail(s, -ENOTSUP, "unknown message");
        if (rule->needs != VU_ALWAYS && !session_has(s, (unsigned) rule->needs))
                return session_fail(s, -EPROTO, "not negotiated");
        if (!(rule->when & now))
                return session_fail(s, -EBUSY, "a vring is started");
        if (m->header.size < rule->least || m->header.size > rule->most)
                return session_fail(s, -EBADMSG, "payload of %u bytes", m->header.size);
        if (m->n_fds > rule->fds)
                return session_fail(s, -EBADMSG, "%u descriptors", m->n_fds);
        if (!rule->handle)
                return session_fail(s, -ENOTSUP, "not offered");
        r = check_ends(s, m);
        return r < 0 ? r : rule->handle(s, m);
}

void vu_handle(struct session *s)
{
        int r;

        s->handling = true;
        s->why[0] = 0;
        r = vu_dispatch(s, &s->msg);
        if (r != SESSION_WAIT)
                vu_finish(s, r);
}

int vu_again(struct session *s, struct vu_msg *m)
{
        return vu_rule_of(m->header.request)->handle(s, m);
}

int vu_reply(struct session *s, const void *payload, uint32_t size)
{
        return vu_out_fill(&s->out, s->msg.header.request, payload, size, FD_NONE);
}

int vu_reply_u64(struct session *s, uint64_t value)
{
        return vu_reply(s, &value, sizeof(value));
}

static int reply_zeros(struct session *s)
{
        static const struct vu_inflight none;
        uint32_t size = s->msg.header.size;

        return vu_reply(s, &none, size < INFLIGHT ? INFLIGHT : size > INFLIGHT_MAX ? INFLIGHT_MAX : size);
}

/* The answer that the protocol owes for r, made. -ENOMSG: none is owed; -EPROTO: a failure that it can't express. */
static int make_answer(struct session *s, int r)
{
        const struct vu_rule *rule = vu_rule_of(s->msg.header.request);
        bool wanted = s->msg.header.flags & VU_FLAG_NEED_REPLY && session_has(s, VU_PF_REPLY_ACK);

        switch (rule ? rule->answer : VU_ACK) {
        case VU_ACK:
                if (r == 0 && s->out.length) /* memory that is told during postcopy has a reply of its own */
                        return 0;
                if (wanted)
                        return vu_reply_u64(s, r < 0);
                return r < 0 ? -EPROTO : -ENOMSG;
        case VU_U64:
                return vu_reply_u64(s, r < 0);
        case VU_REPLY:
                return r < 0 ? -EPROTO : 0;
        case VU_REPLY_OR_NACK:
                return r < 0 && wanted ? vu_reply_u64(s, 1) : r < 0 ? -EPROTO : 0;
        case VU_REPLY_OR_NO_FD:
                return r < 0 ? vu_reply_u64(s, VU_STATE_NOFD | VU_STATE_ERROR) : 0;
        case VU_REPLY_OR_EMPTY:
                return r < 0 ? vu_reply(s, NULL, 0) : 0;
        case VU_REPLY_OR_ZERO:
                return r < 0 ? reply_zeros(s) : 0;
        }
        return -EPROTO;
}

static void log_failure(const struct session *s, int error, bool closing)
{
        const struct vu_rule *rule = vu_rule_of(s->msg.header.request);
        const char *end = closing ? "; connection closed" : "";

        if (rule)
                log_warning(&s->log.log, "%s: %s: %s%s", rule->name, s->why, log_errno(error), end);
        else
                log_warning(&s->log.log, "message %u: %s: %s%s", s->msg.header.request, s->why, log_errno(error), end);
}

void vu_finish(struct session *s, int r)
{
        int answer;

        if (r < 0)
                vu_out_done(&s->out);
        answer = make_answer(s, r);
        if (r < 0)
                log_failure(s, r, answer < 0);
        if (answer < 0 && answer != -ENOMSG)
                session_end_quietly(s, SESSION_FRONT_END_FAILED);
        vu_msg_done(&s->msg);
        s->handling = false;
        if (s->out.length) {
                r = vu_out_send(&s->out, s->front.num);
                if (r < 0 && r != -EAGAIN)
                        session_end(s, SESSION_LEFT, "the front-end has left without its reply");
        }
}
