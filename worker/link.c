/*
 * The channel to the session: packets are judged by ipc_check() and handled (link_handlers.c) while all loops are
 * parked. Those that take something away from requests in flight are answered once these are finished; meanwhile
 * PING is answered, and one packet behind it is held back.
 */
#include "link.h"

#include "link_internal.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PACKETS_MAX = 16 }; /* in a row, before vrings get their turn */

void link_init(struct link *link, int channel)
{
        *link = (struct link){ .channel = channel, .peer = { .way = IPC_BROKER_TO_WORKER, .stage = IPC_NEW } };
}

void link_log(void *context, enum log_level level, const char *text)
{
        const struct link *link = context;
        struct ipc_log line = { .level = level };
        size_t n = strnlen(text, sizeof(line.text) - 1);

        memcpy(line.text, text, n);
        (void) packet_send(link->channel, IPC_WORKER_LOG, 0, &line, offsetof(struct ipc_log, text) + n + 1, NULL, 0);
}

/* A session that is gone, or does not read, is served no longer: its ledger outlives us. Only the latter is a fault. */
void link_send(const struct link *link, enum ipc_type type, uint32_t sequence, const void *body, size_t n)
{
        int r = packet_send(link->channel, type, sequence, body, n, NULL, 0);

        if (r < 0)
                _exit(r == -EPIPE || r == -ECONNRESET ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void link_answer(const struct link *link, uint32_t sequence, int result, uint64_t value)
{
        const struct ipc_answer answer = { .result = result, .value = value };

        link_send(link, IPC_ANSWER, sequence, &answer, sizeof(answer));
}

int link_receive_device(struct link *link, struct packet *ret_packet)
{
        struct pollfd channel = { .fd = link->channel, .events = POLLIN };
        int r;

        while (poll(&channel, 1, -1) < 0)
                if (errno != EINTR)
                        return -errno;
        r = packet_recv(link->channel, PACKET_FDS_MAX, ret_packet);
        if (r < 0)
                return r;
        r = ipc_check(&link->peer, ret_packet);
        if (r < 0) {
                packet_done(ret_packet);
                return r;
        }
        link->peer.way = IPC_SESSION_TO_WORKER;
        link->peer.stage = IPC_UP;
        return 0;
}

void link_ready(struct worker *w, uint32_t lacks)
{
        struct ipc_ready ready = { .features = w->face.features, .device = w->device->id, .queues = w->n_vrings,
                                   .queue_size_max = w->vring_size_max, .engine = w->face.engine,
                                   .lacks = lacks, .config_size = w->face.config_size };

        memcpy(ready.config, w->face.config, sizeof(ready.config));
        link_send(&w->link, IPC_READY, 0, &ready, sizeof(ready));
}

void link_config(struct worker *w, bool notify)
{
        struct ipc_config config = { .notify = notify, .size = w->face.config_size };

        memcpy(config.bytes, w->face.config, sizeof(config.bytes));
        link_send(&w->link, IPC_CONFIG, 0, &config, sizeof(config));
}

void link_iotlb_miss(struct worker *w, uint32_t index, uint64_t iova, uint32_t access)
{
        const struct ipc_iotlb_miss miss = { .index = index, .access = access, .iova = iova };

        link_send(&w->link, IPC_IOTLB_MISS, 0, &miss, sizeof(miss));
}

void link_vring_broken(struct worker *w, uint32_t index, int error)
{
        const struct ipc_vring_broken broken = { .index = index, .error = error };

        link_send(&w->link, IPC_VRING_BROKEN, 0, &broken, sizeof(broken));
}

static bool pending_is_due(const struct worker *w)
{
        const struct link_pending *pending = &w->link.pending;

        switch (pending->type) {
        case 0:
                return false;
        case IPC_VRING_STOP:
                return vring_idle(&w->vring[pending->index]);
        case IPC_MEM_TABLE:
                return !guest_mem_drops(&w->mem, &pending->next) || link_all_idle(w);
        case IPC_POSTCOPY:
                return true;
        case IPC_STATE_CHECK:
                return !device_state_busy(&w->state);
        default:
                return link_all_idle(w);
        }
}

/* Loops are parked. */
static void link_try_finish(struct worker *w)
{
        struct link_pending *pending = &w->link.pending;
        uint64_t value;

        if (!pending_is_due(w))
                return;
        value = link_rules[pending->type].finish(w);
        link_answer(&w->link, pending->sequence, 0, value);
        *pending = (struct link_pending){ 0 };
}

static void link_handle(struct worker *w, struct packet *packet)
{
        int r;

        loops_park(w);
        r = link_rules[packet->header.type].handle(w, packet);
        packet_done(packet);
        if (r < 0)
                log_warning(&w->log, "%s refused: %s", ipc_rule_of(packet->header.type)->name, log_errno(r));
        if (r == LINK_LATER)
                link_try_finish(w);
        else
                link_answer(&w->link, packet->header.sequence, r, 0);
        loops_unpark(w);
}

/* The next packet, if there is one. A session that breaks the rules has a worker no longer. */
static int link_receive(struct worker *w)
{
        struct link *link = &w->link;
        int r = packet_recv(link->channel, PACKET_FDS_MAX, &link->packet);

        if (r == -EAGAIN)
                return r;
        if (r == -ENODATA)
                _exit(EXIT_SUCCESS);
        if (r == 0)
                r = ipc_check(&link->peer, &link->packet);
        if (r < 0) {
                log_error(&w->log, "packet type %u from session: %s", link->packet.header.type, log_errno(r));
                _exit(EXIT_FAILURE);
        }
        return 0;
}

static void link_hold(struct worker *w, bool held)
{
        if (w->link.held == held)
                return;
        w->link.held = held;
        loop_hold_channel(&w->loop[0], w->link.channel, held);
}

void link_serve(struct worker *w)
{
        struct link *link = &w->link;

        if (link->pending.type || device_state_busy(&w->state)) { /* a state that is complete goes to the device */
                loops_park(w);
                device_state_step(w);
                link_try_finish(w);
                loops_unpark(w);
        }
        for (int i = 0; i < PACKETS_MAX; i++) {
                if (!link->held && link_receive(w) < 0)
                        return;
                if (link->pending.type && link->packet.header.type != IPC_PING) {
                        link_hold(w, true);
                        return;
                }
                link_hold(w, false);
                link_handle(w, &link->packet);
        }
}
