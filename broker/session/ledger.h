/*
 * The ledger: all that a front-end has told us and a worker has accepted. A plain struct; a worker gets its state by
 * replay of it and in no other way (replay.c). It owns its descriptors, and never reads, writes or maps them.
 */
#pragma once

#include "fd.h"
#include "ipc.h"
#include "limits.h"
#include "vhost_user.h"

#include <stdbool.h>
#include <stdint.h>

struct ledger_region {
        struct ipc_region at;
        struct fd fd; /* none: the slot is free */
};

enum ledger_vring_state {
        VRING_STOPPED,
        VRING_STARTED,
        VRING_BROKEN, /* started, but the worker serves it no more; the front-end still has to stop it */
};

struct ledger_vring {
        enum ledger_vring_state state;
        bool enabled;
        bool has_addr;
        bool has_base; /* else it begins where a new ring does */
        bool broke;    /* told so by the worker since the last start was proposed */
        bool drained;  /* stopped since the in-flight area was set: nothing of it is in there */
        uint32_t size; /* entries; 0: not set */
        uint32_t base; /* as in SET_VRING_BASE */
        bool left;     /* stopped with requests in the in-flight area that a next start has to take up */
        bool kick_own, call_own; /* eventfds of ours: the front-end wants messages (inband.c) */
        bool call_set, err_set;  /* the front-end has said how it wants them: descriptor or none */
        struct vu_vring_addr addr;
        struct fd kick, call, err;
};

struct ledger_inflight {
        struct fd fd; /* none: no area yet */
        bool own;     /* made by us, not by the front-end */
        uint64_t size, offset;
        uint32_t queues, queue_size;
};

struct ledger_log {
        struct fd fd; /* none: no log yet */
        uint64_t size, offset;
};

/* What the driver has written into the device's config space, as the worker took it. */
struct ledger_config {
        bool written[VU_CONFIG_MAX]; /* the others are the device's own, and may differ in another worker */
        uint8_t bytes[VU_CONFIG_MAX];
};

struct ledger {
        uint64_t features; /* acked, without the transport's own bits */
        bool log_all;      /* VHOST_F_LOG_ALL was acked */
        bool iommu;        /* addresses of vrings are iovas, which mean nothing to us */
        bool has_features; /* SET_FEATURES was accepted */
        uint64_t protocol; /* protocol features in force */
        uint8_t status;    /* virtio device status as the front-end set it */
        struct fd backend; /* channel of SET_BACKEND_REQ_FD */
        struct ledger_inflight inflight;
        struct ledger_log log;
        struct fd log_call; /* of SET_LOG_FD */
        struct ledger_config config;
        unsigned n_slots;  /* slots ever used; those above hold nothing, not even FD_NONE */
        unsigned n_vrings; /* likewise */
        struct ledger_vring vring[LIMIT_QUEUES];
        struct ledger_region region[VU_MEM_SLOTS];
};

/* An empty one. Touches only what it must: most of the arrays' pages are never needed. */
void ledger_init(struct ledger *ledger);

/* Closes all it owns. */
void ledger_done(struct ledger *ledger);

/* Makes room for n vrings, stopped and disabled; those that exist stay as they are. n <= LIMIT_QUEUES. */
void ledger_set_vrings(struct ledger *ledger, unsigned n);

/* The vring, or NULL. 64 bits, so that no caller can truncate an index before it is judged. */
struct ledger_vring *ledger_vring(struct ledger *ledger, uint64_t index);

/* Is any vring not stopped? */
bool ledger_running(const struct ledger *ledger);

/* A write of the driver has made `before` of the config space into `after`; n <= VU_CONFIG_MAX bytes. */
void ledger_write_config(struct ledger *ledger, const uint8_t *before, const uint8_t *after, uint32_t n);

/* A slot that is free, or -ENOSPC. */
int ledger_free_slot(const struct ledger *ledger);

/* The slot of the region with these addresses and this size, or -ENOENT. */
int ledger_find_slot(const struct ledger *ledger, const struct vu_region *region);

/* Puts a region into a free slot; owns fd. slot < VU_MEM_SLOTS. */
void ledger_put_region(struct ledger *ledger, unsigned slot, const struct ipc_region *at, struct fd fd);

/* Frees slots. */
void ledger_drop_region(struct ledger *ledger, unsigned slot);
void ledger_drop_regions(struct ledger *ledger);

/* Does [uva, uva + bytes) lie in one region? */
bool ledger_has_uva(const struct ledger *ledger, uint64_t uva, uint64_t bytes);

/* Are the vrings packed ones? */
bool ledger_packed(const struct ledger *ledger);

/* Do all parts of the vring lie in memory, as far as we can tell? (virtio 1.3, 2.7.2 and 2.8.10) */
bool ledger_vring_in_memory(const struct ledger *ledger, const struct ledger_vring *vring);

/* One past the highest guest physical address; 0: no memory. */
uint64_t ledger_gpa_end(const struct ledger *ledger);

/* After memory went away: started vrings that do not lie in it any more are broken, as the worker sees them. */
void ledger_break_vrings(struct ledger *ledger);
