/*
 * The one table of packet types. Both ends pass every packet through ipc_check() before a handler sees it.
 */
#include "ipc.h"

#include "array.h"

#include <errno.h>

#define FIXED(type) sizeof(type), sizeof(type)
#define NEVER_AGAIN true
#define RESIZE_WAYS (IPC_BROKER_TO_SESSION | IPC_SESSION_TO_WORKER) /* passed on as it came */

static const struct ipc_rule rules[] = {
        /*                     name             size                         fds                      way                    stages              once */
        [IPC_DEVICE]       = { "DEVICE",       FIXED(struct ipc_device),       2, 4,                    IPC_BROKER_TO_WORKER,  IPC_NEW,          NEVER_AGAIN },

        [IPC_FEATURES]     = { "FEATURES",     FIXED(struct ipc_features),     0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_MEM_TABLE]    = { "MEM_TABLE",    FIXED(struct ipc_mem_table),    0, VU_TABLE_REGIONS_MAX, IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_REGION_ADD]   = { "REGION_ADD",   FIXED(struct ipc_region_add),   1, 1,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_REGION_DEL]   = { "REGION_DEL",   FIXED(struct ipc_region_del),   0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_INFLIGHT]     = { "INFLIGHT",     FIXED(struct ipc_inflight),     1, 1,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_IOTLB]        = { "IOTLB",        FIXED(struct ipc_iotlb),        0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_DIRTY_LOG]    = { "DIRTY_LOG",    FIXED(struct ipc_dirty_log),    1, 1,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_DIRTY_LOG_FD] = { "DIRTY_LOG_FD", 0, 0,                           0, 1,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_VRING_START]  = { "VRING_START",  FIXED(struct ipc_vring_start),  0, 3,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_VRING_STOP]   = { "VRING_STOP",   FIXED(struct ipc_vring_stop),   0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_VRING_FORGET] = { "VRING_FORGET", FIXED(struct ipc_vring_forget), 0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_VRING_ENABLE] = { "VRING_ENABLE", FIXED(struct ipc_vring_enable), 0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_VRING_FD]     = { "VRING_FD",     FIXED(struct ipc_vring_fd_change), 0, 1,                 IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_VRING_LOG]    = { "VRING_LOG",    FIXED(struct ipc_vring_log),    0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_SET_CONFIG]   = { "SET_CONFIG",   FIXED(struct ipc_set_config),   0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_STATE_FD]     = { "STATE_FD",     FIXED(struct ipc_state_fd),     1, 1,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_STATE_CHECK]  = { "STATE_CHECK",  0, 0,                           0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_RESET]        = { "RESET",        0, 0,                           0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_RESIZE]       = { "RESIZE",       FIXED(struct ipc_resize),       0, 0,                    RESIZE_WAYS,           IPC_UP,           false },
        [IPC_POSTCOPY]     = { "POSTCOPY",     FIXED(struct ipc_postcopy),     0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },
        [IPC_PING]         = { "PING",         0, 0,                           0, 0,                    IPC_SESSION_TO_WORKER, IPC_UP,           false },

        [IPC_READY]        = { "READY",        FIXED(struct ipc_ready),        0, 0,                    IPC_WORKER_TO_SESSION, IPC_NEW,          NEVER_AGAIN },
        [IPC_ANSWER]       = { "ANSWER",       FIXED(struct ipc_answer),       0, 0,                    IPC_WORKER_TO_SESSION, IPC_UP,           false },
        [IPC_CONFIG]       = { "CONFIG",       FIXED(struct ipc_config),       0, 0,                    IPC_WORKER_TO_SESSION, IPC_UP,           false },
        [IPC_VRING_BROKEN] = { "VRING_BROKEN", FIXED(struct ipc_vring_broken), 0, 0,                    IPC_WORKER_TO_SESSION, IPC_UP,           false },
        [IPC_IOTLB_MISS]   = { "IOTLB_MISS",   FIXED(struct ipc_iotlb_miss),   0, 0,                    IPC_WORKER_TO_SESSION, IPC_UP,           false },
        [IPC_WORKER_LOG]   = { "WORKER_LOG",   IPC_LOG_LEAST, sizeof(struct ipc_log), 0, 0,             IPC_WORKER_TO_SESSION, IPC_NEW | IPC_UP, false },
        [IPC_USERFAULT]    = { "USERFAULT",    0, 0,                           1, 1,                    IPC_WORKER_TO_SESSION, IPC_UP,           NEVER_AGAIN },

        [IPC_CONNECTION]   = { "CONNECTION",   FIXED(struct ipc_connection),   2, 2,                    IPC_BROKER_TO_SESSION, IPC_NEW,          NEVER_AGAIN },
        [IPC_WORKER]       = { "WORKER",       0, 0,                           1, 1,                    IPC_BROKER_TO_SESSION, IPC_UP,           false },

        [IPC_LOG]          = { "LOG",          IPC_LOG_LEAST, sizeof(struct ipc_log), 0, 0,             IPC_SESSION_TO_BROKER, IPC_NEW | IPC_UP, false },
        [IPC_SERVING]      = { "SERVING",      FIXED(struct ipc_serving),      0, 0,                    IPC_SESSION_TO_BROKER, IPC_NEW | IPC_UP, NEVER_AGAIN },
        [IPC_WANT_WORKER]  = { "WANT_WORKER",  0, 0,                           0, 0,                    IPC_SESSION_TO_BROKER, IPC_UP,           false },
};
static_assert(ARRAY_SIZE(rules) == IPC_TYPES, "a row per packet type");
static_assert(IPC_TYPES <= 64, "struct ipc_peer.used has a bit per type");

const struct ipc_rule *ipc_rule_of(unsigned type)
{
        return type < IPC_TYPES && rules[type].name ? &rules[type] : NULL;
}

int ipc_check(struct ipc_peer *peer, const struct packet *packet)
{
        const struct ipc_rule *rule = ipc_rule_of(packet->header.type);

        if (!rule || !(rule->way & peer->way))
                return -EPROTO;
        if (!(rule->stages & peer->stage))
                return -EBUSY;
        if (packet->header.length < rule->least || packet->header.length > rule->most)
                return -EBADMSG;
        if (packet->n_fds < rule->least_fds || packet->n_fds > rule->most_fds)
                return -EBADMSG;
        if (rule->once) {
                if (peer->used & UINT64_C(1) << packet->header.type)
                        return -EALREADY;
                peer->used |= UINT64_C(1) << packet->header.type;
        }
        return 0;
}
