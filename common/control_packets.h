/*
 * What vhostctl and the broker say to one another: a question, and its answer. SOCK_SEQPACKET, one packet each, none
 * with descriptors; integers in host byte order, texts NUL-terminated, reserved fields zero. Both ends check what
 * arrives.
 */
#pragma once

#include "ipc.h"
#include "packet.h"
#include "stats_page.h"

#include <stdint.h>

enum {
        CONTROL_VERSION = 3,
        CONTROL_NAME = 65,  /* bytes of a device's name, its NUL included */
        CONTROL_VM = 101,   /* likewise of VM= */
        CONTROL_TEXT = 960, /* bytes of one part of a long text */
        CONTROL_ALLOWED = 64,
        CONTROL_CPUS = 128, /* bytes of a set of processors: as in cpu_set_t */
        CONTROL_WORDS = 120, /* of one part of a loop's statistics */
        CONTROL_STATS_PARTS = (STATS_WORDS + CONTROL_WORDS - 1) / CONTROL_WORDS,
};

enum control_type {
        /* vhostctl -> broker */
        CONTROL_ASK_BROKER = 1,
        CONTROL_ASK_DEVICE,
        CONTROL_ASK_ALLOWED,
        CONTROL_ASK_TEXT,
        CONTROL_ASK_STATS,
        CONTROL_ASK_LIMITS,

        /* broker -> vhostctl */
        CONTROL_BROKER,
        CONTROL_DEVICE,
        CONTROL_ALLOWED_IDS,
        CONTROL_TEXT_PART,
        CONTROL_STATS_PART,
        CONTROL_LIMITS,
        CONTROL_REFUSED,

        CONTROL_TYPES, /* one past the last */
};

/* Which device, by its place in the broker's list. */
struct control_ask {
        uint32_t index;
        uint32_t reserved;
};

enum control_text { CONTROL_PATH, CONTROL_SOCKET, CONTROL_CONNECT, CONTROL_TEXTS };

/* One part of a long text of a device's config. */
struct control_ask_text {
        uint32_t index;
        uint32_t which;  /* enum control_text */
        uint32_t offset; /* bytes */
        uint32_t reserved;
};

/* One part of what a device's worker has counted in one of its loops. */
struct control_ask_stats {
        uint32_t index;
        uint32_t loop;
        uint32_t part; /* < CONTROL_STATS_PARTS: words part * CONTROL_WORDS and on of struct stats_page */
        uint32_t reserved;
};

struct control_broker {
        uint32_t version;
        int32_t pid;
        uint32_t devices;
        uint32_t stopping;
        uint32_t own_uid;  /* all processes share the broker's uid */
        uint32_t id_first; /* host ids of sessions and workers */
        uint32_t id_count;
        uint32_t lacks;    /* enum ipc_layer: what no device can have */
        char release[32];
};

enum control_state {
        CONTROL_IDLE,     /* waits for a front-end */
        CONTROL_STARTING, /* session and worker run, the worker is not ready yet */
        CONTROL_SERVING,
        CONTROL_ENDING,   /* one of them has ended */
        CONTROL_DRAINING, /* both have; their I/O has not */
        CONTROL_DOWN,     /* its file has mistakes or its disk could not be opened; only the name is known */
        CONTROL_STATES,
};

enum control_flag {
        CONTROL_READ_ONLY = 1 << 0,
        CONTROL_DIRECT = 1 << 1,
        CONTROL_DISCARD = 1 << 2,
        CONTROL_LOCKING = 1 << 3,
        CONTROL_IOMMU = 1 << 4,
        CONTROL_PINNED = 1 << 5,
        CONTROL_HAS_DISK = 1 << 6,
        CONTROL_BLOCK_DEVICE = 1 << 7, /* the disk is one; else a regular file */
        CONTROL_CONNECTS = 1 << 8,     /* comes to a front-end that listens */
        CONTROL_WAITED_FOR = 1 << 9,   /* a connection waits for the device to become free */
        CONTROL_ANY_USER = 1 << 10,    /* whoever the socket's file lets in */
        CONTROL_POSTCOPY = 1 << 11,
        CONTROL_FLAGS_ALL = (1 << 12) - 1,
};

enum { CONTROL_SESSION, CONTROL_WORKER, CONTROL_CHILDREN };

struct control_device {
        uint32_t index;
        uint32_t type;    /* virtio device id */
        uint32_t state;   /* enum control_state */
        uint32_t flags;   /* enum control_flag */
        uint32_t session; /* number of the last one; 0: there was none */
        int32_t pid[CONTROL_CHILDREN]; /* 0: it does not run */
        uint32_t host_id[CONTROL_CHILDREN]; /* uid and gid, as the broker gave them */
        uint32_t may_lack; /* enum ipc_layer: by the device's config */
        uint32_t lacks;    /* enum ipc_layer: what session, worker and broker say is missing; 0 until serving */
        uint32_t engine_wanted; /* enum ipc_engine */
        uint32_t engine;        /* the one that runs; IPC_ENGINE_AUTO: none, or the device has no engines */
        uint32_t queues, queue_size, threads, poll_max_us;
        uint32_t block_size, physical_size, optimal_io, direct_memory, direct_offset; /* bytes */
        uint64_t capacity; /* bytes */
        uint64_t file;     /* bytes; 0: the disk is no regular file */
        uint64_t offered, protocol_offered; /* features that policy and config allow */
        char name[CONTROL_NAME];
        char vm[CONTROL_VM];
        char serial[26];
        uint8_t cpus[CONTROL_CPUS];
};
static_assert(sizeof(struct control_device) <= PACKET_BODY_MAX, "a packet holds it");

struct control_allowed {
        uint32_t users, groups; /* entries */
        uint32_t user[CONTROL_ALLOWED];
        uint32_t group[CONTROL_ALLOWED];
};

struct control_limits { /* what a front-end may cost */
        struct ipc_limits session;
        uint32_t hold_ms, connections_per_s;
};

struct control_text_part {
        uint32_t total; /* bytes of the whole text, without a NUL; 0: there is none */
        uint32_t n;     /* bytes here */
        char text[CONTROL_TEXT];
};

struct control_stats_part { /* what a worker claims: no word was looked at */
        uint64_t word[CONTROL_WORDS]; /* those beyond the page are 0 */
};
static_assert(sizeof(struct control_stats_part) <= PACKET_BODY_MAX, "a packet holds it");

struct control_refused {
        int32_t error; /* -errno. -ENOENT: no such device */
        uint32_t reserved;
};

/*
 * Judges a received packet: is it of a type that may come this way, and as long as that? -EPROTO, -EBADMSG. A text's
 * end is its reader's to check.
 */
int control_check(const struct packet *packet, bool from_broker);

/* The answer that a question wants. */
uint16_t control_answer_to(unsigned question);

/* Bytes of a packet's body. */
uint16_t control_length_of(unsigned type);
