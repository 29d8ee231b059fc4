/*
 * A vring: one virtqueue between guest and device. What differs between ring formats stands behind
 * `struct vring_format`; the rest (life, descriptors, batching, in-flight tracking) is here.
 */
#pragma once

#include "chain.h"
#include "inflight.h"
#include "inflight_packed.h"
#include "vring_state.h"

enum {
        VRING_BUDGET = 256,     /* requests taken in one round, so that one vring cannot starve the rest */
        VRING_BUSY_MOST = 1024, /* requests in flight at a time, however large the vring is: each needs room */
};

struct loop;
struct worker;
struct vring_format;

/* What only a packed ring has (vring_packed.c). */
struct packed_ring {
        struct vring_packed_desc SHARED *desc;
        struct vring_packed_event SHARED *driver, SHARED *device;
        struct gpa desc_gpa, device_gpa;
        struct packed_position avail, used; /* next to fetch; next used entry to write, visible or not */
        struct inflight_packed track;
        unsigned listed;      /* descriptors in the loop's scratch list: the chain under way */
        unsigned unsignalled; /* slots used since the last question whether to call */
        bool batch;           /* used entries are written that the first one's flags still hide */
        uint16_t batch_slot, batch_flags; /* the first one's */
};

struct vring {
        uint32_t index;
        enum vring_state state; /* written by vring_turn() only */
        const struct vring_format *format;
        struct worker *worker;
        struct loop *loop;

        uint32_t size; /* entries */
        struct uva desc_at, avail_at, used_at; /* or iovas */
        struct gpa used_gpa;
        struct vring_desc SHARED *desc;
        struct vring_avail SHARED *avail;
        struct vring_used SHARED *used;
        struct packed_ring packed;
        bool event_idx, indirect, in_order;
        bool log_ring;     /* what is written into the ring is noted in the dirty log */
        struct gpa log_at; /* of the used ring, for that */

        uint16_t next_avail; /* next to fetch; the base once stopped */
        uint16_t seen_avail; /* the guest's index as last read */
        uint16_t used_idx;   /* next used entry to write, published or not */
        uint16_t signalled;  /* used index at the last call */
        bool signalled_valid;

        struct ipc_vring_start start; /* as it was asked for */
        bool attached;   /* its parts and its position are known */
        bool positioned; /* its position is, since the start */
        bool stalled;    /* waits for what `missed`, an iova, stands for: the session was asked */
        bool dormant;    /* not attached, and need not be before the next kick */
        uint64_t missed;

        bool kicked;   /* look at it in the next round */
        bool drains;   /* take nothing new: someone waits until it is idle */
        bool suspends; /* while it drains: what a predecessor had taken may stay in flight */
        bool call_due; /* signal it even if nothing was used */
        bool full;     /* as many as may be are in flight: take more when some are published */
        unsigned busy; /* requests taken and not published */
        uint64_t *claim;  /* what the statistics say of it (claims.h) */
        uint64_t claimed; /* but for `busy` */

        void *room; /* one mapping for all that follows */
        size_t room_len;
        char *requests; /* one per descriptor, struct chain first */
        size_t stride;
        uint16_t *rooms; /* a stack of those given back: one is a request's part of spill and writes */
        unsigned n_rooms;
        uint16_t new_rooms; /* never used: this one and all behind it */
        struct iovec *spill;      /* CHAIN_PARTS_MAX per request in flight */
        struct gpa_range *writes; /* likewise: of what is written into, while that is logged */
        uint16_t *done;      /* heads with a used entry that is not published yet */
        unsigned n_done;
        uint16_t *again; /* heads to submit again after a resume */
        unsigned n_again, next_again;
        uint16_t *order; /* in_order: a ring of the heads in flight as they were fetched */
        unsigned oldest, n_order;
        struct inflight_slot *slots; /* for packed.track */

        struct inflight inflight;
        struct fd kick, call, err;
        bool kick_drains; /* the kick is a pipe or a socket: read it empty */
};

struct vring_format {
        const char *name;

        /* Finds the parts in guest memory, by vring_span(). -EFAULT, -EINVAL; -EAGAIN: the vring stalls. */
        int (*resolve)(struct vring *vr);

        /*
         * Finds where to go on, in the in-flight area and the ring, or begins anew at the base that the front-end
         * names; fills `again`. -EINVAL: no base is so, or no room in the area; -EPROTO: the area contradicts itself.
         */
        int (*position)(struct vring *vr, const struct ipc_vring_start *what);

        /* The base as SET_VRING_BASE encodes it. */
        uint32_t (*base)(const struct vring *vr);

        /* The base by the in-flight area alone. False: it was never begun; else *ret_base, if it can be told. */
        bool (*recorded)(struct vring *vr, uint32_t *ret_base);

        /* Fetches the next head, without consuming it. -EAGAIN: none; else malformed, *ret_fault says why. */
        int (*next)(struct vring *vr, uint16_t *ret_head, struct chain_fault *ret_fault);

        /* Gets ready to gather a head that a predecessor had taken. NULL: nothing to do. */
        void (*recall)(struct vring *vr, uint16_t head);

        /* Turns what next() or recall() has found into a chain. -errno: malformed, *ret_fault says how. */
        int (*gather)(struct vring *vr, const struct chain_source *source, struct iovec *spill,
                      struct chain *chain, struct chain_fault *ret_fault);

        /* Consumes what next() has found: it is in flight now. */
        void (*take)(struct vring *vr, uint16_t head);

        /* Writes a used entry, still invisible. */
        void (*put)(struct vring *vr, uint16_t head, uint32_t written);

        /* Makes the used entries visible, which are those of done[]. */
        void (*publish)(struct vring *vr);

        /* Does the guest want a call for what was published since the last question? Full barrier. */
        bool (*wants_call)(struct vring *vr);

        /* Asks for kicks; true: there is work already, no kick will come for it. Full barrier. */
        bool (*ask_kicks)(struct vring *vr);

        /* Asks for none, as far as the format lets us. */
        void (*refuse_kicks)(struct vring *vr);

        /* Is there something to fetch? One load. */
        bool (*pending)(const struct vring *vr);

        /* Notes all that the format ever writes into the ring, if that is logged. */
        void (*log_all)(const struct vring *vr);
};

extern const struct vring_format vring_split, vring_packed;

/* Not started, no descriptors. */
void vring_init(struct vring *vr, struct worker *worker, struct loop *loop, uint32_t index);

/*
 * Starts it; owns the three descriptors, even when it fails. -EBUSY: started or broken; -EINVAL, -EFAULT: size,
 * addresses; -EPROTO: the in-flight area contradicts the vring; vhost-user, "Starting and stopping rings".
 */
int vring_start(struct vring *vr, const struct ipc_vring_start *what, struct fd kick, struct fd call, struct fd err);

/* Asks it to become idle: what was taken is finished, nothing new is taken. */
void vring_drain(struct vring *vr);
bool vring_idle(const struct vring *vr);

/* Ends a drain without stopping. */
void vring_resume(struct vring *vr);

/* Stops an idle vring, drops its descriptors and returns its base; *ret_left: a next start has requests to take up. */
uint32_t vring_stop(struct vring *vr, bool *ret_left);

void vring_enable(struct vring *vr, bool enabled);

/* Replaces one of the descriptors (enum ipc_vring_fd) and owns it. -EINVAL, -EPERM: cannot be waited for. */
int vring_replace_fd(struct vring *vr, uint32_t which, struct fd fd);

/* Switches logging of the ring's own memory. */
void vring_set_log(struct vring *vr, uint32_t flags, uint64_t log);

void vring_log_now(const struct vring *vr, uint64_t offset, uint64_t len);

/* For formats: `len` bytes at `offset` of what SET_VRING_ADDR's log address stands for were written. */
static inline void vring_log_write(const struct vring *vr, uint64_t offset, uint64_t len)
{
        if (vr->log_ring)
                vring_log_now(vr, offset, len);
}

/* For formats: finds a part. As guest_span_ring(); a miss is told to the session and stalls the vring. */
int vring_span(struct vring *vr, struct uva from, uint64_t len, unsigned align, uint32_t access,
               struct span *ret_span);

/*
 * What some iovas stand for is about to be taken away: a vring with nothing to do will sleep rather than ask at once.
 * It must be drained.
 */
void vring_unsettle(struct vring *vr);

/* Finds parts and, once, position; if it must wait for that, it is not attached. -EFAULT, -EINVAL, -EPROTO. */
int vring_attach(struct vring *vr);

/* What [iova, last] stands for is known now: a vring that waits for it looks again. */
void vring_retry(struct vring *vr, uint64_t iova, uint64_t last);

/* The memory map has changed: finds the parts again, or breaks. */
void vring_relocate(struct vring *vr);

/* Serves up to VRING_BUDGET chains; true if there was one. */
bool vring_serve(struct vring *vr);

/* Publishes what was completed and calls the guest once, if it wants that; true if there was something. */
bool vring_publish(struct vring *vr);

/* A kick came. */
void vring_kicked(struct vring *vr);

/* Could it be served? */
static inline bool vring_live(const struct vring *vr)
{
        return vr->state == STARTED_ON && !vr->drains && vr->attached && !vr->stalled && !vr->full;
}

/* Rooms for requests in flight. */
static inline uint32_t vring_rooms(const struct vring *vr)
{
        return vr->size < VRING_BUSY_MOST ? vr->size : VRING_BUSY_MOST;
}
