/*
 * The channel to the worker. The worker is hostile: every packet passes ipc_check, every number in it is judged, an
 * answer has to match the one packet that waits for it, and descriptors can't come at all.
 */
#include "worker_link.h"

#include "backend.h"
#include "clock.h"
#include "inband.h"
#include "session.h"
#include "virtio.h"
#include "vu_rules.h"

#include <errno.h>
#include <string.h>

enum { ERRNO_MOST = 4095 };

void link_init(struct worker_link *link)
{
        link->channel = FD_NONE;
        link->sequence = 0;
        link->busy = LINK_REPLAYING;
        link->unsent = false;
        link->since = 0;
        link->commit = NULL;
}

void link_done(struct worker_link *link)
{
        fd_close(&link->channel);
}

void link_open(struct session *s, struct fd channel)
{
        struct worker_link *link = &s->link;

        link->channel = channel;
        link->peer = (struct ipc_peer){ .way = IPC_WORKER_TO_SESSION, .stage = IPC_NEW };
        link->busy = LINK_REPLAYING;
        link->unsent = false;
        link->since = 0;
        link->replay = (struct replay){ 0 };
}

bool link_idle(const struct worker_link *link)
{
        return link->busy == LINK_IDLE;
}

/* The worker has gone. A message that waits for it waits for its successor, if there is one. */
static void link_lost(struct session *s)
{
        if (!s->may_restart || postcopy_binds_worker(s)) {
                session_end(s, SESSION_WORKER_FAILED, "the worker has ended");
                return;
        }
        log_warning(&s->log.log, "the worker has ended; waiting for another");
        link_done(&s->link);
        s->link.busy = LINK_REPLAYING;
        s->link.unsent = false;
        s->link.since = 0;
        s->owes |= OWES_WANT_WORKER;
}

void link_send(struct session *s)
{
        struct worker_link *link = &s->link;
        const struct proposal *p = link->busy == LINK_REPLAYING ? &link->replayed : &link->proposal;
        int r = packet_send(link->channel.num, (uint16_t) p->type, link->sequence, &p->features, p->length, p->fd,
                            p->n_fds);

        link->unsent = r == -EAGAIN;
        if (r == -EAGAIN) {
                if (!link->since)
                        link->since = clock_now_ns();
                return;
        }
        link->since = 0;
        if (r < 0 && r != -EPIPE && r != -ECONNRESET) /* gone: the channel's hang-up says so in its turn */
                session_end(s, SESSION_WORKER_FAILED, "%s to the worker: %s", ipc_rule_of(p->type)->name,
                            log_errno(r));
}

static void send_as(struct session *s, enum link_busy busy)
{
        s->link.busy = busy;
        s->link.sequence++;
        link_send(s);
}

int link_keeps_nothing(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) s;
        (void) m;
        (void) value;
        return 0;
}

int link_propose(struct session *s, const struct proposal *proposal, link_commit *commit)
{
        s->link.proposal = *proposal;
        s->link.commit = commit;
        send_as(s, LINK_PROPOSING);
        return SESSION_WAIT;
}

/* The next packet of the replay; after the last, the proposal that a predecessor did not answer. */
static void replay_on(struct session *s)
{
        struct worker_link *link = &s->link;

        if (replay_next(&link->replay, &s->ledger, &link->replayed)) {
                send_as(s, LINK_REPLAYING);
                return;
        }
        link->busy = LINK_IDLE;
        session_worker_up(s);
        if (!link->commit)
                return;
        if (link->proposal.type == IPC_VRING_START) /* the predecessor may have begun already */
                link->proposal.start.resume = 1;
        send_as(s, LINK_PROPOSING);
}

static int check_ready(const struct session *s, const struct ipc_ready *ready)
{
        if (ready->device != s->allowed.device)
                return -ENODEV;
        if (ready->queues < 1 || ready->queues > LIMIT_QUEUES || ready->queues > s->allowed.queues)
                return -ERANGE;
        if (ready->queue_size_max < 1 || ready->queue_size_max > s->allowed.queue_size)
                return -ERANGE;
        if (ready->config_size > VU_CONFIG_MAX || ready->engine >= IPC_ENGINES)
                return -ERANGE;
        return 0;
}

/* What a front-end was once told must stay true. */
static bool is_lesser(const struct session *s, const struct ipc_ready *ready)
{
        return (s->offered & ~ready->features) || ready->queues < s->device.queues ||
               ready->queue_size_max < s->device.queue_size_max;
}

static int on_ready(struct session *s, const struct packet *packet)
{
        const uint64_t transport = VIRTIO_BIT(VU_F_LOG_ALL) | VIRTIO_BIT(VU_F_PROTOCOL_FEATURES);
        struct ipc_ready ready;
        int r;

        memcpy(&ready, packet->body, sizeof(ready));
        ready.features &= s->allowed.features & ~transport;
        r = check_ready(s, &ready);
        if (r < 0)
                return r;
        if (s->has_device && is_lesser(s, &ready))
                return -ENOTSUP;
        if (s->has_device) {
                ready.queues = s->device.queues;
                ready.queue_size_max = s->device.queue_size_max;
        } else {
                s->offered = ready.features;
                s->has_device = true;
                s->first_until = session_deadline(s->allowed.limits.handshake_ms);
        }
        s->device = ready;
        s->link.peer.stage = IPC_UP;
        ledger_set_vrings(&s->ledger, ready.queues);
        replay_prepare(&s->ledger);
        replay_on(s);
        return 0;
}

static void proposal_answered(struct session *s, const struct ipc_answer *answer)
{
        link_commit *commit = s->link.commit;
        int r;

        s->link.busy = LINK_IDLE;
        s->link.commit = NULL;
        if (!s->handling) { /* the broker's wish: no front-end waits */
                if (answer->result < 0)
                        log_warning(&s->log.log, "%s refused by the worker: %s",
                                    ipc_rule_of(s->link.proposal.type)->name, log_errno(answer->result));
                return;
        }
        if (answer->result < 0)
                r = session_fail(s, answer->result, "refused by the worker (%s)",
                                 ipc_rule_of(s->link.proposal.type)->name);
        else
                r = commit(s, &s->msg, answer->value);
        if (r != SESSION_WAIT)
                vu_finish(s, r);
}

static int on_answer(struct session *s, const struct packet *packet)
{
        struct worker_link *link = &s->link;
        struct ipc_answer answer;

        memcpy(&answer, packet->body, sizeof(answer));
        if (link->busy == LINK_IDLE || link->unsent || packet->header.sequence != link->sequence)
                return -EPROTO;
        if (answer.result > 0 || answer.result < -ERRNO_MOST)
                return -ERANGE;
        if (link->busy == LINK_PROPOSING)
                proposal_answered(s, &answer);
        else if (answer.result < 0)
                session_end(s, SESSION_WORKER_FAILED, "replay: %s refused by the worker: %s",
                            ipc_rule_of(link->replayed.type)->name, log_errno(answer.result));
        else
                replay_on(s);
        return 0;
}

static int on_config(struct session *s, const struct packet *packet)
{
        struct ipc_config config;

        memcpy(&config, packet->body, sizeof(config));
        if (config.size > VU_CONFIG_MAX)
                return -ERANGE;
        if (!config.notify)
                ledger_write_config(&s->ledger, s->device.config, config.bytes, config.size);
        s->device.config_size = config.size;
        memcpy(s->device.config, config.bytes, sizeof(config.bytes));
        if (config.notify)
                backend_config_changed(s);
        return 0;
}

static int on_vring_broken(struct session *s, const struct packet *packet)
{
        struct ipc_vring_broken broken;
        struct ledger_vring *vring;

        memcpy(&broken, packet->body, sizeof(broken));
        vring = ledger_vring(&s->ledger, broken.index);
        if (!vring || broken.error > 0 || broken.error < -ERRNO_MOST)
                return -ERANGE;
        log_warning(&s->log.log, "vring %u is broken: %s", broken.index, log_errno(broken.error));
        vring->broke = true;
        if (vring->state == VRING_STARTED)
                vring->state = VRING_BROKEN;
        inband_broken(s, broken.index);
        return 0;
}

static int on_iotlb_miss(struct session *s, const struct packet *packet)
{
        struct ipc_iotlb_miss miss;

        memcpy(&miss, packet->body, sizeof(miss));
        if (miss.index >= s->ledger.n_vrings || !miss.access || miss.access > (IPC_READ | IPC_WRITE))
                return -ERANGE;
        if (s->ledger.iommu || s->link.commit)
                backend_iotlb_miss(s, &miss);
        return 0;
}

static int on_log(struct session *s, struct packet *packet)
{
        struct ipc_log *line = (struct ipc_log *) packet->body;

        session_log_relay(&s->log, line->level, line->text, packet->header.length - offsetof(struct ipc_log, text));
        return 0;
}

static int handle(struct session *s, struct packet *packet)
{
        int r = ipc_check(&s->link.peer, packet);

        if (r < 0)
                return r;
        switch (packet->header.type) {
        case IPC_READY:
                return on_ready(s, packet);
        case IPC_ANSWER:
                return on_answer(s, packet);
        case IPC_CONFIG:
                return on_config(s, packet);
        case IPC_VRING_BROKEN:
                return on_vring_broken(s, packet);
        case IPC_IOTLB_MISS:
                return on_iotlb_miss(s, packet);
        case IPC_WORKER_LOG:
                return on_log(s, packet);
        case IPC_USERFAULT:
                return postcopy_on_userfault(s, packet);
        default:
                return -EPROTO;
        }
}

void link_receive(struct session *s)
{
        for (unsigned i = 0; i < LIMIT_WORKER_PACKETS && !s->over; i++) {
                struct packet packet;
                int r = packet_recv(s->link.channel.num, postcopy_expects_fd(s), &packet);

                if (r == -EAGAIN)
                        return;
                if (r == -ENODATA) {
                        link_lost(s);
                        return;
                }
                if (r < 0) {
                        session_end(s, SESSION_WORKER_FAILED, "from the worker: no packet: %s", log_errno(r));
                        return;
                }
                r = handle(s, &packet);
                packet_done(&packet);
                if (r < 0)
                        session_end(s, SESSION_WORKER_FAILED, "from the worker: packet %u: %s", packet.header.type,
                                    log_errno(r));
        }
}
