/*
 * A vring's work: take chains, give them back, publish in batches, call the guest. Belongs to one loop; its
 * configuration (vring_config.c) changes only while that loop is parked.
 */
#include "vring.h"

#include "claims.h"
#include "vring_fds.h"
#include "vring_internal.h"
#include "worker.h"

#include <errno.h>
#include <stdio.h>

static struct chain *request_of(const struct vring *vr, uint16_t head)
{
        return (struct chain *) (vr->requests + head * vr->stride);
}

void vring_turn(struct vring *vr, enum vring_event event)
{
        vr->state = vring_state_after(vr->state, event);
        claims_vring(vr);
}

void vring_break(struct vring *vr, int error, const struct chain_fault *fault)
{
        char what[LOG_TEXT_MAX / 2];

        vring_turn(vr, VRING_FAULT);
        stats_add(&vr->loop->stats.page->broken, 1);
        if (fd_has(&vr->kick))
                loop_unwatch(vr->loop, vr->kick.num);
        snprintf(what, sizeof(what), fault->what, (unsigned long long) fault->value);
        log_warning(&vr->worker->log, "vring %u: %s: %s", vr->index, what, log_errno(error));
        call_fire(vr->err.num);
        link_vring_broken(vr->worker, vr->index, error);
        if (vr->drains) /* what was to be taken again will not be: someone may wait for that */
                loop_wake(&vr->worker->loop[0]);
}

void vring_stall(struct vring *vr, uint64_t iova, uint32_t access)
{
        vr->stalled = true;
        vr->missed = iova;
        claims_vring(vr);
        link_iotlb_miss(vr->worker, vr->index, iova, access);
        if (vr->drains) /* what waits counts as not taken */
                loop_wake(&vr->worker->loop[0]);
}

/* The room that the next request will have: one just given back, whose pages are there. It is, or all are taken. */
static uint16_t next_room(const struct vring *vr)
{
        return vr->n_rooms ? vr->rooms[vr->n_rooms - 1] : vr->new_rooms;
}

static void take_room(struct vring *vr, struct chain *chain)
{
        chain->room = next_room(vr);
        if (vr->n_rooms)
                vr->n_rooms--;
        else
                vr->new_rooms++;
}

/* Waits until some requests are published? A vring with no more entries than rooms finds its own end. */
static bool vring_fill(struct vring *vr)
{
        vr->full = vr->busy == VRING_BUSY_MOST && vr->size > VRING_BUSY_MOST;
        return vr->full;
}

/* Turns the descriptors of one head into a request; breaks the vring if they are malformed. */
static int vring_gather(struct vring *vr, uint16_t head, struct chain **ret_chain)
{
        size_t room = next_room(vr) * (size_t) CHAIN_PARTS_MAX;
        const struct chain_source source = { .mem = &vr->worker->mem, .desc = vr->desc, .size = vr->size,
                                             .indirect = vr->indirect, .scratch = vr->loop->scratch,
                                             .writes = vr->worker->dirty.data ? vr->writes + room : NULL };
        struct chain_fault fault = { .what = "head 0x%llx is in flight already", .value = head };
        struct chain *chain = request_of(vr, head);
        int r = -EPROTO;

        chain->head = head;
        if (!chain->taken)
                r = vr->format->gather(vr, &source, vr->spill + room, chain, &fault);
        if (r == -EAGAIN) {
                vring_stall(vr, fault.value, fault.access);
                return r;
        }
        if (r < 0) {
                vring_break(vr, r, &fault);
                return r;
        }
        chain->vring = vr;
        chain->taken = true;
        chain->finished = false;
        take_room(vr, chain);
        chain->since = vr->loop->stats.now;
        vr->busy++;
        if (vr->in_order)
                vr->order[(vr->oldest + vr->n_order++) % vr->size] = head;
        *ret_chain = chain;
        return 0;
}

/* Fetches the next request. -EAGAIN: none; -errno: the vring is broken now. */
static int vring_take(struct vring *vr, struct chain **ret_chain)
{
        struct chain_fault fault;
        uint16_t head;
        int r = vring_fill(vr) ? -EAGAIN : vr->format->next(vr, &head, &fault);

        if (r == -EAGAIN)
                return r;
        if (r < 0) {
                vring_break(vr, r, &fault);
                return r;
        }
        r = vring_gather(vr, head, ret_chain);
        if (r < 0)
                return r;
        vr->format->take(vr, head);
        return 0;
}

static void vring_hand_over(struct vring *vr, struct chain *chain)
{
        vr->worker->device->serve(vr->loop->local, chain);
}

/* What a predecessor had taken comes first, and even while the vring drains: it counts as taken. */
static bool vring_serve_again(struct vring *vr)
{
        struct chain *chain;
        bool worked = false;

        while (vr->next_again < vr->n_again && vr->state != BROKEN && !vr->stalled && !vring_fill(vr)) {
                uint16_t head = vr->again[vr->next_again];
                int r;

                if (vr->format->recall)
                        vr->format->recall(vr, head);
                r = vring_gather(vr, head, &chain);
                if (r == -EAGAIN)
                        break;
                vr->next_again++;
                if (r == 0)
                        vring_hand_over(vr, chain);
                worked = true;
        }
        return worked;
}

/* Nothing left: either we look again by ourselves (polling), or the guest must kick. True: there is more after all. */
static bool vring_rest(struct vring *vr)
{
        return !vr->loop->polling && vr->format->ask_kicks(vr);
}

/* Attached, or able to go without. Parts that are missing are asked for once there is something to do. */
static bool vring_settle(struct vring *vr)
{
        struct chain_fault fault = { .what = "its parts, at 0x%llx, are not in memory", .value = vr->desc_at.at };
        int r;

        if (vr->attached || vr->stalled || vr->dormant || vr->drains || !vring_state_started(vr->state))
                return true;
        r = vring_attach(vr);
        if (r < 0)
                vring_break(vr, r, &fault);
        return r == 0;
}

/* Serves what there is, up to the budget; true if there was something. */
static bool vring_serve_now(struct vring *vr)
{
        struct chain *chain;
        bool worked = false;

        if (vring_live(vr) || (vr->drains && !vr->suspends && vr->attached && vring_state_started(vr->state)))
                worked = vring_serve_again(vr);
        if (!vring_live(vr))
                return worked;
        vr->format->refuse_kicks(vr);
        for (int budget = VRING_BUDGET; budget > 0; budget--) {
                int r = vring_take(vr, &chain);

                if (r == 0) {
                        vring_hand_over(vr, chain);
                        worked = true;
                } else if (r != -EAGAIN || vr->stalled || vr->full || !vring_rest(vr)) {
                        return worked || r != -EAGAIN;
                }
        }
        vr->kicked = true;
        return true;
}

bool vring_serve(struct vring *vr)
{
        unsigned before = vr->busy;
        bool worked;

        vr->kicked = false;
        if (!vring_settle(vr))
                return false;
        stats_look(&vr->loop->stats);
        worked = vring_serve_now(vr);
        if (vr->busy != before) {
                stats_in_flight(&vr->loop->stats, vr->busy - before);
                claims_busy(vr);
        }
        return worked;
}

void vring_log_now(const struct vring *vr, uint64_t offset, uint64_t len)
{
        struct gpa from;

        if (!__builtin_add_overflow(vr->log_at.at, offset, &from.at))
                dirty_log_mark(&vr->worker->dirty, from, len);
}

/* A broken vring takes its results to the grave: its memory may be gone, and a successor repeats the requests. */
static void vring_give_back(struct vring *vr, const struct chain *chain)
{
        if (vr->state != BROKEN)
                vr->format->put(vr, chain->head, chain->written);
        vr->done[vr->n_done++] = chain->head;
}

/* IN_ORDER: used in the order of the fetches, so those that overtook others wait for them (virtio 1.3, 2.6.9). */
static void vring_give_back_in_order(struct vring *vr)
{
        while (vr->n_order) {
                const struct chain *chain = request_of(vr, vr->order[vr->oldest]);

                if (!chain->finished)
                        return;
                vr->oldest = (vr->oldest + 1) % vr->size;
                vr->n_order--;
                vring_give_back(vr, chain);
        }
}

void chain_done(struct chain *chain, uint32_t written)
{
        struct vring *vr = chain->vring;

        if (chain->n_writes) /* noted before the guest may hear of it */
                dirty_log_mark_all(&vr->worker->dirty, chain->writes, chain->n_writes);
        chain->written = written;
        chain->finished = true;
        if (vr->in_order)
                vring_give_back_in_order(vr);
        else
                vring_give_back(vr, chain);
}

/* A call, if the guest wants one, and not before what it is about was noted. */
static void vring_call(struct vring *vr)
{
        if (vr->log_ring || vr->worker->dirty.data)
                call_fire(vr->worker->dirty.call.num);
        if (!vr->format->wants_call(vr) && !vr->call_due)
                return;
        call_fire(vr->call.num);
        stats_add(&vr->loop->stats.page->calls, 1);
}

static void vring_release_done(struct vring *vr)
{
        struct stats *stats = &vr->loop->stats;
        struct stats_run run = { 0 };

        for (unsigned i = 0; i < vr->n_done; i++) {
                struct chain *chain = request_of(vr, vr->done[i]);

                if (vr->state != BROKEN)
                        stats_give_back(stats, &run, chain);
                chain->taken = false;
                vr->rooms[vr->n_rooms++] = chain->room;
        }
        stats_end_run(stats, &run);
        stats_in_flight(stats, -(uint64_t) vr->n_done);
        vr->busy -= vr->n_done;
        claims_busy(vr);
        vr->n_done = 0;
        vr->kicked |= vr->full;
        vr->full = false;
}

bool vring_publish(struct vring *vr)
{
        if (vr->n_done == 0 && !(vr->call_due && vr->attached))
                return false;
        if (vr->state != BROKEN) {
                if (vr->n_done) {
                        vr->loop->stats.now = (uint64_t) clock_now_ns();
                        vr->format->publish(vr);
                }
                vring_call(vr);
        }
        vr->call_due = false;
        vring_release_done(vr);
        vr->loop->stats.now = 0; /* a call takes its time */
        if (vr->drains && vring_idle(vr))
                loop_wake(&vr->worker->loop[0]);
        return true;
}

void vring_kicked(struct vring *vr)
{
        if (vr->kick_drains && fd_has(&vr->kick))
                kick_drain(vr->kick.num);
        vr->dormant = false;
        vr->kicked = true;
}

bool vring_idle(const struct vring *vr)
{
        return vr->busy == 0 && (vr->next_again == vr->n_again || vr->state == BROKEN ||
                                 vr->stalled || vr->suspends || !vr->attached);
}
