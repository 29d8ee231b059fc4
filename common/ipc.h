/*
 * What our processes say to one another: one table of packet types for both ends, and the fixed struct of each.
 *
 *   broker -> worker    the first packet of the worker's channel, put there before anybody else holds its other end
 *   session <-> worker  SOCK_SEQPACKET; every packet downward is answered by exactly one ANSWER with its sequence
 *   broker -> session   SOCK_SEQPACKET whose other direction is shut down
 *   session -> broker   packet-mode pipe: it cannot carry descriptors
 *
 * Integers are in host byte order; addresses are 64 bits; reserved fields are zero.
 */
#pragma once

#include "log.h"
#include "packet.h"
#include "vhost_user.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum ipc_type {
        /* broker -> worker */
        IPC_DEVICE = 1,

        /* session -> worker */
        IPC_FEATURES,
        IPC_MEM_TABLE,
        IPC_REGION_ADD,
        IPC_REGION_DEL,
        IPC_INFLIGHT,
        IPC_IOTLB,
        IPC_DIRTY_LOG,
        IPC_DIRTY_LOG_FD,
        IPC_VRING_START,
        IPC_VRING_STOP,
        IPC_VRING_FORGET,
        IPC_VRING_ENABLE,
        IPC_VRING_FD,
        IPC_VRING_LOG,
        IPC_SET_CONFIG,
        IPC_STATE_FD,
        IPC_STATE_CHECK,
        IPC_RESET,
        IPC_RESIZE, /* broker -> session as well */
        IPC_POSTCOPY,
        IPC_PING,

        /* worker -> session */
        IPC_READY,
        IPC_ANSWER,
        IPC_CONFIG,
        IPC_VRING_BROKEN,
        IPC_IOTLB_MISS,
        IPC_WORKER_LOG,
        IPC_USERFAULT,

        /* broker -> session */
        IPC_CONNECTION,
        IPC_WORKER,

        /* session -> broker */
        IPC_LOG,
        IPC_SERVING,
        IPC_WANT_WORKER,

        IPC_TYPES, /* one past the last */
};

/* Which way a packet travels; named by its sender and receiver. */
enum ipc_way {
        IPC_BROKER_TO_WORKER = 1 << 0,
        IPC_SESSION_TO_WORKER = 1 << 1,
        IPC_WORKER_TO_SESSION = 1 << 2,
        IPC_BROKER_TO_SESSION = 1 << 3,
        IPC_SESSION_TO_BROKER = 1 << 4,
};

/* How far the receiving end is with this peer. */
enum ipc_stage {
        IPC_NEW = 1 << 0, /* nothing received yet */
        IPC_UP = 1 << 1,  /* the opening packet (DEVICE, READY, CONNECTION) was received */
};

struct ipc_rule {
        const char *name;
        uint16_t least, most; /* bytes of the body */
        uint8_t least_fds, most_fds;
        uint8_t way;
        uint8_t stages; /* stages of the receiver that accept it */
        bool once;      /* closed after its first use */
};

/* Per peer: what was received so far. Zeroed means nothing; `stage` starts as IPC_NEW. */
struct ipc_peer {
        uint8_t way; /* the ways a packet may come to us from this peer */
        enum ipc_stage stage;
        uint64_t used; /* bit per once-rule already used */
};

/* The row of a type, or NULL. */
const struct ipc_rule *ipc_rule_of(unsigned type);

/*
 * Judges a received packet before any handler sees it, and notes a once-rule as used. -EPROTO: unknown type or
 * wrong way; -EBUSY: not in this stage; -EALREADY: a second time; -EBADMSG: size or number of fds.
 */
int ipc_check(struct ipc_peer *peer, const struct packet *packet);

/* --- broker -> worker ------------------------------------------------------------------------------------------ */

enum ipc_engine { IPC_ENGINE_AUTO, IPC_ENGINE_URING, IPC_ENGINE_SYNC, IPC_ENGINE_NULL, IPC_ENGINES };

/* Layers of confinement that the operator's [Sandbox] section allows to be missing, and that a program reports so. */
enum ipc_layer {
        IPC_LAYER_NAMESPACES = 1 << 0, /* user, pid, mount, ipc, uts, net and the empty root */
        IPC_LAYER_UIDS = 1 << 1,       /* a host uid of its own */
        IPC_LAYER_LANDLOCK = 1 << 2,
        IPC_LAYER_MDWE = 1 << 3, /* memory-deny-write-execute by prctl */
};

/*
 * fds: write end of the fence pipe; the file for statistics, a page per thread; the device's resource (block: the
 * disk), if it has one; /dev/userfaultfd, if postcopy.
 */
struct ipc_device {
        uint32_t device; /* virtio device id */
        uint32_t queues; /* vrings offered */
        uint32_t threads;
        uint32_t poll_max_us;
        uint64_t features; /* virtio features that policy and config allow; the device offers a subset */
        uint32_t may_lack; /* enum ipc_layer */
        uint32_t lacks;    /* enum ipc_layer: what the broker already knows to be missing */
        uint32_t queue_size; /* entries of the largest vring, 1..VRING_SIZE_MAX */
        uint32_t postcopy;   /* 1: make a userfaultfd */
        struct ipc_block {
                uint32_t engine;     /* enum ipc_engine */
                uint32_t block_size; /* logical block, bytes, power of two 512..4096 */
                uint32_t physical_size; /* bytes, power of two >= block_size */
                uint32_t optimal_io;    /* bytes, 0: none */
                uint64_t capacity;      /* bytes, multiple of block_size */
                uint32_t direct_memory; /* Cache=none: alignment of buffers, bytes; 0: buffered I/O */
                uint32_t direct_offset; /* Cache=none: alignment of offset and length, bytes */
                uint8_t read_only;
                uint8_t discard;
                uint8_t block_device; /* the resource is one; else a regular file */
                uint8_t reserved[5];
                char serial[24]; /* NUL padded, 20 bytes used */
        } block;
};

/* --- session -> worker ----------------------------------------------------------------------------------------- */

struct ipc_features {
        uint64_t acked;     /* subset of READY's features, without the vhost-user transport's own bits */
        uint32_t log_all;   /* VHOST_F_LOG_ALL was set */
        uint32_t enable_all; /* bit 30 was not acked: enable every vring now */
        uint32_t iommu; /* addresses of vrings and buffers are iovas; what they stand for comes with IOTLB */
        uint32_t reserved;
};

struct ipc_region {
        uint64_t gpa, uva;
        uint64_t size;   /* bytes, not 0, no wrap in gpa, uva or offset */
        uint64_t offset; /* into the fd; any alignment */
};

/* Replaces the whole memory map or leaves it: slots 0..n-1, fds in the same order. */
struct ipc_mem_table {
        uint32_t n;
        uint32_t reserved;
        struct ipc_region region[VU_TABLE_REGIONS_MAX];
};

struct ipc_region_add { /* fds: [0] the memory */
        uint32_t slot;  /* < VU_MEM_SLOTS, not in use */
        uint32_t reserved;
        struct ipc_region region;
};

struct ipc_region_del { /* vrings inside it break */
        uint32_t slot;
        uint32_t reserved;
};

struct ipc_inflight { /* fds: [0] the area */
        uint64_t size;
        uint64_t offset;
        uint32_t queues;
        uint32_t queue_size;
};

enum ipc_access { IPC_READ = 1 << 0, IPC_WRITE = 1 << 1 };

/* Answered when no request uses any more what it takes away. */
struct ipc_iotlb {
        uint64_t iova, last; /* inclusive */
        uint64_t uva;        /* of the first byte */
        uint32_t access;     /* enum ipc_access; 0: what stood for these addresses is invalid */
        uint32_t reserved;
};

struct ipc_dirty_log { /* fds: [0] the log; it replaces the one before */
        uint64_t size;   /* bytes, a bit per guest page of 4096 from gpa 0 on */
        uint64_t offset; /* into the fd, multiple of 8 */
};

/* DIRTY_LOG_FD: fds: [0] the eventfd to poke after logging, or none. */

enum ipc_vring_fd { IPC_KICK = 1 << 0, IPC_CALL = 1 << 1, IPC_ERR = 1 << 2 };

/* fds: those named in `fds`, in the order kick, call, err. A vring without kick is polled. */
struct ipc_vring_start {
        uint32_t index;
        uint32_t size; /* entries */
        uint64_t desc, avail, used; /* uva */
        uint64_t log;               /* gpa of the used ring for logging, if flags say so */
        uint32_t flags;             /* VU_VRING_F_LOG */
        uint32_t base;              /* as in SET_VRING_BASE; the position unless `resume` finds one */
        uint32_t enabled;
        uint32_t resume; /* 1: position from the in-flight area if it was ever initialised; 0: begin anew there */
        uint32_t fds;
        uint32_t reserved;
};

#define IPC_STOP_LEFT (UINT64_C(1) << 32) /* requests were left in the in-flight area */

struct ipc_vring_stop { /* answered when drained; ANSWER.value is the base, and perhaps IPC_STOP_LEFT */
        uint32_t index;
        uint32_t suspend; /* 1: what was taken by a predecessor and not submitted again may stay in flight */
};

struct ipc_vring_forget { /* what the in-flight area says of a vring that is not started; a start begins anew then */
        uint32_t index;
        uint32_t reserved;
};

struct ipc_vring_enable {
        uint32_t index;
        uint32_t enabled;
};

struct ipc_vring_fd_change { /* fds: [0] the new one, or none: removed */
        uint32_t index;
        uint32_t which; /* one of enum ipc_vring_fd */
};

struct ipc_vring_log { /* of a started vring: from now on */
        uint32_t index;
        uint32_t flags; /* VU_VRING_F_LOG, or 0 */
        uint64_t log;   /* as in struct ipc_vring_start */
};

struct ipc_set_config { /* a successful one is preceded by CONFIG with the new space */
        uint32_t offset;
        uint32_t size; /* 1.., offset + size <= VU_CONFIG_MAX */
        uint8_t bytes[VU_CONFIG_MAX];
};

struct ipc_state_fd { /* fds: [0] where the device's state goes or comes from; refused while a vring is started */
        uint32_t load; /* 0: write it and close, 1: read it up to its end */
        uint32_t reserved;
};

/* STATE_CHECK: answered when that transfer has ended; ANSWER.value is 0, or the errno that it failed with. */

struct ipc_resize { /* a successful one is preceded by CONFIG with the new space */
        uint64_t capacity; /* bytes, multiple of the block size, not 0 */
};

enum ipc_postcopy_step {
        IPC_POSTCOPY_ADVISE, /* a successful one is preceded by USERFAULT */
        IPC_POSTCOPY_LISTEN, /* before there is any region */
        IPC_POSTCOPY_WHERE,  /* ANSWER.value: where the region of a slot lies in the worker */
        IPC_POSTCOPY_REGISTER, /* what the regions lack from now on, the front-end brings; vrings may start */
        IPC_POSTCOPY_END,
};

struct ipc_postcopy {
        uint32_t step; /* enum ipc_postcopy_step */
        uint32_t slot;
};

/* RESET stops and disables all vrings and forgets features; memory and the config space stay. */

/* --- worker -> session ----------------------------------------------------------------------------------------- */

struct ipc_ready {
        uint64_t features; /* virtio features offered */
        uint32_t device;   /* virtio device id */
        uint32_t queues;   /* <= 256 */
        uint32_t queue_size_max;
        uint32_t engine; /* enum ipc_engine, the one that runs */
        uint32_t lacks;  /* enum ipc_layer */
        uint32_t config_size;
        uint8_t config[VU_CONFIG_MAX];
};

struct ipc_answer { /* header.sequence: that of the packet it answers */
        int32_t result; /* 0 or -errno */
        uint32_t reserved;
        uint64_t value;
};

struct ipc_config { /* the device's config space from now on */
        uint32_t notify; /* tell the front-end; 0: what differs was written by the driver, here or before a transfer */
        uint32_t size;
        uint8_t bytes[VU_CONFIG_MAX];
};

struct ipc_vring_broken { /* the worker has stopped it and has fired its err fd */
        uint32_t index;
        int32_t error; /* -errno */
};

struct ipc_iotlb_miss { /* the vring waits for an IOTLB with this address */
        uint32_t index;
        uint32_t access; /* enum ipc_access */
        uint64_t iova;
};

struct ipc_log { /* IPC_WORKER_LOG and IPC_LOG; the body ends after the text's NUL */
        uint32_t level;
        uint32_t from_worker; /* IPC_LOG: relayed */
        char text[LOG_TEXT_MAX];
};

enum { IPC_LOG_LEAST = 9 }; /* bytes: the two numbers and a NUL */

/* USERFAULT: fds: [0] the worker's userfaultfd; the only packet upward with a descriptor. */

/* --- broker -> session ----------------------------------------------------------------------------------------- */

/* What one front-end may cost, as the operator says. Times of 0: without end. */
struct ipc_limits {
        uint32_t setup_ms;     /* from the session's start until the front-end has negotiated anything */
        uint32_t handshake_ms; /* from the worker's READY to the first whole message */
        uint32_t partial_ms;   /* from the first byte of a message to its last */
        uint32_t reply_ms;     /* for the front-end to take a reply, or to end the transfer that it asks for */
        uint32_t messages_per_s, messages_burst; /* not 0; beyond them reading rests */
        uint32_t regions;      /* of guest memory, 8..VU_MEM_SLOTS */
        uint32_t log_per_s;    /* lines; not 0 */
        uint64_t memory;       /* bytes, in all regions together */
};

/* fds: [0] the front-end's connection, [1] the session's end of the worker's channel. */
struct ipc_connection {
        uint32_t id;     /* of this session, for its log lines */
        uint32_t device; /* virtio device id that READY must name */
        uint64_t features;          /* allowed by policy and config */
        uint64_t protocol_features; /* allowed by policy and config */
        uint32_t queues;
        uint32_t may_lack; /* enum ipc_layer */
        uint32_t queue_size; /* entries of the largest vring */
        uint32_t reserved;
        struct ipc_limits limits;
};

/* IPC_RESIZE: the disk has a new size; the worker may write up to it already. */

/* IPC_WORKER: a successor for a dead worker; fds: [0] the session's end of its channel; empty body. */

/* --- session -> broker ----------------------------------------------------------------------------------------- */

struct ipc_serving { /* a worker's READY was taken */
        uint32_t engine; /* enum ipc_engine */
        uint32_t lacks;  /* enum ipc_layer, worker and session together */
};
