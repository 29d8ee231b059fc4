/*
 * Stage 2 of a confined child, between clone and exec: what the broker does to it before its own program runs.
 * design: "A child is built in stages".
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* The stages that can fail before exec, as reported to the broker. */
enum child_stage {
        CHILD_STAGE_ENTER,  /* the range namespace */
        CHILD_STAGE_NET,    /* the empty net namespace */
        CHILD_STAGE_ROOT,   /* the empty root */
        CHILD_STAGE_CLONE,  /* the namespaces of its own */
        CHILD_STAGE_CGROUP, /* the device's cgroup */
        CHILD_STAGE_MAP,    /* its uid and gid */
        CHILD_STAGE_FDS,    /* keep only what it was given */
        CHILD_STAGE_HOSTNAME,
        CHILD_STAGE_LIMITS, /* resource limits */
        CHILD_STAGE_CAPS,   /* capabilities, no_new_privs */
        CHILD_STAGE_EXEC,
        CHILD_STAGES,
};

enum {
        CHILD_FDS = 3,       /* 0, 1 and 2 */
        CHILD_INSIDE_ID = 1, /* uid and gid as the child sees them; not 0, so that exec gains nothing */
};

struct child_limits {
        rlim_t nofile;
        rlim_t nproc;   /* threads, io-wq helpers included */
        rlim_t memlock; /* bytes */
        rlim_t fsize;   /* no file grows beyond so many bytes: neither the disk nor a memfd */
        bool fsize_grows; /* the hard limit stays, so that the broker can raise it; no filter lets the child do so */
};

struct child {
        const char *name; /* argv[0] */
        int program;      /* borrowed: the program, opened for reading */
        int fd[CHILD_FDS]; /* borrowed: become 0, 1, 2; nothing else is kept */
        uint32_t id;      /* uid and gid in the range namespace */
        struct child_limits limits;
        const cpu_set_t *affinity; /* borrowed; NULL: any processor */
        bool namespaces; /* false only where the operator's config lets them be missing */
};

/* A name for the operator. */
const char *child_stage_name(enum child_stage stage);

/*
 * The part that needs no id, while the map of the calling process is being written: signals, descriptors (those that
 * were given are 0, 1, 2; the others close on exec). -errno, the stage in ret_stage.
 */
int child_prepare(const struct child *child, enum child_stage *ret_stage);

/*
 * Confines the calling process and executes its program. Returns only on failure: the stage in ret_stage, -errno.
 * Must be called in the namespaces made for it, prepared, with its id map already written.
 */
int child_exec(const struct child *child, enum child_stage *ret_stage);
