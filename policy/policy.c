/*
 * The list of profiles: which tables make up the filter of which program in which stage.
 */
#include "policy.h"

#include "array.h"
#include "ipc.h"
#include "virtio.h"

#define BLOCK VIRTIO_ID_BLOCK
#define RNG VIRTIO_ID_RNG

#define SETUP policy_worker_setup, policy_worker_run, policy_uring_setup, policy_sync_setup

const struct policy_profile policy_profiles[] = {
        { "broker_run",           POLICY_BROKER,  POLICY_RUN,   0,     0,                { policy_broker_run, policy_broker_stage } },
        { "session_run",          POLICY_SESSION, POLICY_RUN,   0,     0,                { policy_session_run } },
        { "worker_setup",         POLICY_WORKER,  POLICY_SETUP, 0,     0,                { SETUP } },
        { "worker_run_blk_uring", POLICY_WORKER,  POLICY_RUN,   BLOCK, IPC_ENGINE_URING, { policy_worker_run, policy_uring_run } },
        { "worker_run_blk_sync",  POLICY_WORKER,  POLICY_RUN,   BLOCK, IPC_ENGINE_SYNC,  { policy_worker_run, policy_sync_run } },
        { "worker_run_blk_null",  POLICY_WORKER,  POLICY_RUN,   BLOCK, IPC_ENGINE_NULL,  { policy_worker_run } },
        { "worker_run_rng",       POLICY_WORKER,  POLICY_RUN,   RNG,   0,                { policy_worker_run, policy_rng_run } },

        { "worker_setup_postcopy",         POLICY_WORKER, POLICY_SETUP, 0,     0,                { SETUP, policy_postcopy_setup }, true },
        { "worker_run_blk_uring_postcopy", POLICY_WORKER, POLICY_RUN,   BLOCK, IPC_ENGINE_URING, { policy_worker_run, policy_uring_run, policy_postcopy_run }, true },
        { "worker_run_blk_sync_postcopy",  POLICY_WORKER, POLICY_RUN,   BLOCK, IPC_ENGINE_SYNC,  { policy_worker_run, policy_sync_run, policy_postcopy_run }, true },
        { "worker_run_blk_null_postcopy",  POLICY_WORKER, POLICY_RUN,   BLOCK, IPC_ENGINE_NULL,  { policy_worker_run, policy_postcopy_run }, true },
        { "worker_run_rng_postcopy",       POLICY_WORKER, POLICY_RUN,   RNG,   0,                { policy_worker_run, policy_rng_run, policy_postcopy_run }, true },
};
const size_t policy_n_profiles = ARRAY_SIZE(policy_profiles);

const char *const policy_hot[] = {
        "epoll_pwait",    /* a loop sleeps */
        "preadv2",        /* a kick is taken; a sync read */
        "pwritev2",       /* a guest is called; a sync write */
        "io_uring_enter", /* requests go, completions come */
        "futex",          /* the sync pool */
        "clock_gettime",  /* polling, without vDSO */
        "fdatasync",      /* a sync flush */
        "fallocate",      /* a sync discard */
        "getrandom",      /* rng */
        "ppoll",          /* the session sleeps */
        NULL,
};

const struct policy_device *const policy_devices[] = { &policy_block, &policy_rng };
const size_t policy_n_devices = ARRAY_SIZE(policy_devices);
