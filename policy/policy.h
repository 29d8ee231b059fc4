/*
 * What each program may do, as plain data.  The tables of this room are read three times: by policy/compile at build
 * time, which turns the calls into seccomp filters; by the programs, for features and limits; by whoever audits.
 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A limit on one argument of a call: (argument & mask) must equal value. Never on hot calls: design, "Confinement". */
struct policy_argument {
        uint8_t index; /* 0..5 */
        uint64_t mask;
        uint64_t value;
};

enum { POLICY_ARGUMENTS = 3 };

/* One allowed system call; a name may stand in several rows, each a further way to call it. */
struct policy_call {
        const char *name; /* NULL ends a table */
        const char *who;  /* the function that needs it; a single word behind FILE: is one of that file */
        unsigned n;       /* arguments checked */
        struct policy_argument argument[POLICY_ARGUMENTS];
        const char *limit; /* what the checks mean, for people; NULL without checks */
};

enum policy_program { POLICY_BROKER, POLICY_SESSION, POLICY_WORKER };
enum policy_stage { POLICY_SETUP, POLICY_RUN };

/* One filter: the union of up to five tables. Any call outside kills the process. The broker's includes all others'. */
struct policy_profile {
        const char *name; /* a C identifier */
        enum policy_program program;
        enum policy_stage stage;
        uint32_t device; /* virtio device id; 0: any */
        uint32_t engine; /* enum ipc_engine; 0: any */
        const struct policy_call *calls[5];
        bool postcopy; /* of a worker with Postcopy=yes */
};

extern const struct policy_profile policy_profiles[];
extern const size_t policy_n_profiles;

/* A profile compiled; the same order as policy_profiles. */
struct policy_filter {
        const char *name;
        enum policy_program program;
        enum policy_stage stage;
        uint32_t device;
        uint32_t engine;
        bool postcopy;
        unsigned calls; /* distinct system calls allowed */
        unsigned short n;
        const struct sock_filter *code;
};

extern const struct policy_filter policy_filters[];
extern const size_t policy_n_filters;

/* The sizes of all compiled filters, in the order of policy_profiles: what --print-policy tells of other programs'. */
struct policy_size {
        unsigned calls;        /* distinct system calls allowed */
        unsigned instructions; /* of BPF */
};

extern const struct policy_size policy_sizes[];

/* What a type of device is to the outside. */
struct policy_device {
        const char *type; /* as in Type= and --type= */
        uint32_t id;      /* virtio device id */
        uint64_t features;          /* virtio features that may be offered */
        uint64_t protocol_features; /* vhost-user protocol features that may be offered */
        uint32_t queues_max;
};

extern const struct policy_device policy_block;
extern const struct policy_device policy_rng;

extern const struct policy_device *const policy_devices[];
extern const size_t policy_n_devices;

/* A number that depends on the device: base + per_queue * queues + per_thread * threads. */
struct policy_count {
        uint32_t base, per_queue, per_thread;
};

static inline uint64_t policy_count_of(struct policy_count count, uint32_t queues, uint32_t threads)
{
        return count.base + (uint64_t) count.per_queue * queues + (uint64_t) count.per_thread * threads;
}

/* Namespaces by whom they are shared with. */
enum policy_share { POLICY_OWN, POLICY_PAIR }; /* nobody; the other of session and worker */

enum { POLICY_NAMESPACES = 6 };

/*
 * What the kernel must show of a process of ours once it runs: the limits it is given (queues: all that its type may
 * have), and the most descriptors it may hold of each kind (queues: those in use). What a front-end sends as kick, call
 * or err may be an eventfd, a pipe or a socket. Descriptors of any other kind: none.
 */
struct policy_process {
        const char *name;
        enum policy_program program;
        struct {
                const char *name; /* as in /proc/PID/ns */
                enum policy_share share;
        } namespaces[POLICY_NAMESPACES];
        struct policy_count nofile, nproc, memlock_kib;
        struct {
                struct policy_count sockets, pipes, eventfds, epolls, rings, memory; /* rings: engine uring only */
                uint32_t disks; /* where the device has one */
        } fds;
};

enum { POLICY_SESSION_TASKS = 1 }; /* it makes none; a worker: its nproc */

extern const struct policy_process policy_process_session, policy_process_worker;

/* Tables of calls, one file per subject. */
extern const struct policy_call policy_broker_run[], policy_broker_stage[];
extern const struct policy_call policy_session_run[];
extern const struct policy_call policy_worker_setup[], policy_worker_run[];
extern const struct policy_call policy_uring_setup[], policy_uring_run[];
extern const struct policy_call policy_sync_setup[], policy_sync_run[];
extern const struct policy_call policy_rng_run[];
extern const struct policy_call policy_postcopy_setup[], policy_postcopy_run[];
extern const struct policy_call policy_sanitizer[]; /* empty in builds without sanitizers */

/*
 * Calls of the data path, NULL-terminated. No row limits their arguments: the kernel then allows them from a bitmap,
 * without running a filter.
 */
extern const char *const policy_hot[];
