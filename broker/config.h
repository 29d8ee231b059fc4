/*
 * What the operator wants of each device: one INI file per device, with drop-ins, or the command line, both through
 * the same setter, so that bounds and errors are the same.
 */
#pragma once

#include "ipc.h"
#include "log.h"
#include "policy.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
        CONFIG_NAME_MAX = 64, /* bytes of a device's name */
        CONFIG_QUEUES_MAX = 64,
        CONFIG_THREADS_MAX = 16,
        CONFIG_POLL_MAX_US = 1000,
        CONFIG_SERIAL_MAX = 20, /* bytes, as the guest sees them */
        CONFIG_ALLOW_MAX = 64,  /* entries of AllowUser=, AllowGroup= */
};

enum config_key {
        CONFIG_TYPE,
        CONFIG_SOCKET,
        CONFIG_CONNECT,
        CONFIG_ALLOW_USER,
        CONFIG_ALLOW_GROUP,
        CONFIG_VM,
        CONFIG_IOMMU,
        CONFIG_INBAND,
        CONFIG_POSTCOPY,
        CONFIG_QUEUE_SIZE,
        CONFIG_PATH,
        CONFIG_READ_ONLY,
        CONFIG_SERIAL,
        CONFIG_BLOCK_SIZE,
        CONFIG_SIZE,
        CONFIG_QUEUES,
        CONFIG_CACHE,
        CONFIG_DISCARD,
        CONFIG_LOCKING,
        CONFIG_ENGINE,
        CONFIG_THREADS,
        CONFIG_POLL,
        CONFIG_CPU_AFFINITY,
        CONFIG_MAY_LACK,
        CONFIG_SETUP_MS,
        CONFIG_HANDSHAKE_MS,
        CONFIG_PARTIAL_MS,
        CONFIG_REPLY_MS,
        CONFIG_HOLD_MS,
        CONFIG_CONNECTIONS,
        CONFIG_MESSAGES,
        CONFIG_BURST,
        CONFIG_REGIONS,
        CONFIG_MEMORY,
        CONFIG_LOG_LINES,
        CONFIG_KEYS, /* one past the last */
};

/* Where the operator wrote something: a line of a file, or an option of the command line (line 0). */
struct config_place {
        const char *text; /* file name, or the whole option */
        unsigned line;
};

struct config_block {
        char *path; /* NULL: none, Engine=null */
        char serial[CONFIG_SERIAL_MAX + 1];
        uint32_t block_size; /* bytes; 0: that of the disk */
        uint64_t size;       /* bytes; Engine=null only */
        uint32_t queues;
        bool read_only;
        bool direct; /* Cache=none */
        bool discard;
        bool locking;
        enum ipc_engine engine;
};

struct config_worker {
        uint32_t threads;
        uint32_t poll_max_us;
        bool pinned; /* cpus is set */
        cpu_set_t cpus;
};

/* What a front-end may cost: the session's limits, and the broker's own. */
struct config_limits {
        struct ipc_limits session;
        uint32_t hold_ms;           /* a connection that waits for the device to be free */
        uint32_t connections_per_s; /* twice as many at once; beyond them they wait in the socket */
};

/* Owns all its strings. */
struct device_config {
        char *name;
        const struct policy_device *type;
        char *socket;  /* absolute path; NULL: an fd given otherwise, or `connect` */
        char *connect; /* path of a front-end that listens; NULL: we listen */
        uid_t *allow_user;
        unsigned n_allow_user; /* with n_allow_group 0 as well: anybody whom the socket file lets in */
        gid_t *allow_group;
        unsigned n_allow_group;
        char *vm; /* NULL: none */
        struct config_block block;
        struct config_worker worker;
        bool iommu; /* offer ACCESS_PLATFORM: not every front-end that takes it speaks for an IOMMU */
        bool inband; /* offer INBAND_NOTIFICATIONS: QEMU 7.2 takes it and does not have it */
        bool postcopy; /* offer PAGEFAULT: workers get a userfaultfd */
        uint32_t queue_size; /* entries of the largest vring */
        uint32_t may_lack; /* enum ipc_layer */
        struct config_limits limits;

        char *where[CONFIG_KEYS]; /* where each key was set last; NULL: never, it has its default */
        unsigned layer;           /* counts what may override what: file, drop-ins */
        unsigned layer_of[CONFIG_KEYS];
};

struct config {
        struct device_config *device;
        unsigned n;
        char **broken; /* names of devices whose files have mistakes (config_load_sound) */
        unsigned n_broken;
};

/* Gives every key its default; the name is copied. -EINVAL: not a name; -ENOMEM. */
int config_init(struct device_config *config, const char *name);

/* Frees what it owns; harmless on a zeroed one. */
void config_free(struct device_config *config);

/*
 * Sets one key; section and key in any case. A key may be set once per layer. Errors are logged as
 * "FILE:LINE: ..." or "OPTION: ...": -EINVAL, -EEXIST (twice), -ENOMEM.
 */
int config_set(struct device_config *config, const struct config_place *place, const char *section, const char *key,
               const char *value, const struct log *log);

/* What only the whole can tell: missing keys, keys of another type. `place` is where a missing key belongs. -EINVAL. */
int config_check(const struct device_config *config, const struct config_place *place, const struct log *log);

/*
 * Reads DIR/NAME.conf with DIR/NAME.conf.d/?*.conf, for each NAME or for `only`; a device without Socket= and Connect=
 * gets RUN_DIR/NAME.sock. All errors are logged, then -EINVAL (or -ENOENT: no device there, -errno: DIR unreadable).
 */
int config_load(const char *dir, const char *only, const char *run_dir, const struct log *log,
                struct config *ret_config);

/*
 * The same for all devices of DIR, but those with mistakes are logged and left out: ret_config->broken has their names.
 * -ENOENT, -errno as above.
 */
int config_load_sound(const char *dir, const char *run_dir, const struct log *log, struct config *ret_config);

/* Frees all devices. */
void config_done(struct config *config);

/* May this be the name of a device: letters, digits, '_', '.', '-', the first a letter or digit? */
bool config_name_ok(const char *name);

/* The type of a device by its name, or NULL. */
const struct policy_device *config_type_of(const char *type);
