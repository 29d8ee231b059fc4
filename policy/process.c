/*
 * What session and worker are given and may hold, as numbers: the broker sets these limits, vhostctl inspect compares the
 * kernel's records with them.
 */
#include "policy.h"

#include "ipc.h"

enum {
        POOL = 32, /* threads of the sync engine's pool, or kernel threads per ring */
        BACKEND_FDS = 4,
};

#define NAMESPACES                                                                                                     \
        {                                                                                                              \
                { "user", POLICY_OWN }, { "pid", POLICY_OWN }, { "mnt", POLICY_OWN }, { "ipc", POLICY_OWN },           \
                { "uts", POLICY_OWN }, { "net", POLICY_PAIR },                                                         \
        }

const struct policy_process policy_process_session = {
        .name = "vhost-session",
        .program = POLICY_SESSION,
        .namespaces = NAMESPACES,
        .nofile = { 64 + VU_MEM_SLOTS + 2 * VU_FDS_MAX, 3, 0 },
        .nproc = { 0, 0, 0 },
        .memlock_kib = { 0, 0, 0 },
        .fds = {
                .sockets = { 3 + BACKEND_FDS, 3, 0 }, /* broker, front-end, worker; the back-end channel */
                .pipes = { 2, 3, 0 },                 /* the reports, on 1 and 2 */
                .eventfds = { 0, 3, 0 },
                .memory = { VU_MEM_SLOTS + VU_FDS_MAX, 0, 0 }, /* the guest's, in-flight area, log */
        },
};

const struct policy_process policy_process_worker = {
        .name = "vhost-worker",
        .program = POLICY_WORKER,
        .namespaces = NAMESPACES,
        .nofile = { 48 + 2 * PACKET_FDS_MAX, 3, 4 },
        .nproc = { POOL, 0, 1 + POOL },
        .memlock_kib = { 0, 0, 1024 },
        .fds = {
                .sockets = { 3, 3, 0 }, /* the channel, on 0, 1 and 2 */
                .pipes = { 1, 3, 0 },   /* the fence, unless rings hold it */
                .eventfds = { 1, 3, 2 }, /* per loop: its wake-up, its engine's completions; the log's */
                .epolls = { 0, 0, 1 },
                .rings = { 0, 0, 1 },
                .disks = 1,
        },
};
