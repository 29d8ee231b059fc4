/*
 * What front-end and device agree upon: virtio features, protocol features, status, reset.
 *
 * Protocol features are in force from SET_PROTOCOL_FEATURES on, whatever SET_FEATURES says of bit 30, before or after;
 * that bit decides one thing only: a SET_FEATURES without it enables all vrings (vhost-user, "Ring states").
 */
#include "handlers.h"
#include "session.h"
#include "virtio.h"
#include "vrings.h"

#include <errno.h>
#include <inttypes.h>

#define PF(name) (UINT64_C(1) << VU_PF_##name)

/* What this session can do; the device's policy offers a part of it. */
#define PROTOCOL_FEATURES                                                                                            \
        (PF(MQ) | PF(LOG_SHMFD) | PF(REPLY_ACK) | PF(BACKEND_REQ) | PF(CONFIG) | PF(INFLIGHT_SHMFD) |                \
         PF(RESET_DEVICE) | PF(CONFIGURE_MEM_SLOTS) | PF(STATUS) | PF(DEVICE_STATE) | PF(INBAND_NOTIFICATIONS) |      \
         PF(GET_VRING_BASE_INFLIGHT) | PF(PAGEFAULT))

#define LOG_ALL VIRTIO_BIT(VU_F_LOG_ALL)
#define BIT30 VIRTIO_BIT(VU_F_PROTOCOL_FEATURES)
#define TRANSPORT (LOG_ALL | BIT30)

static uint64_t protocol_features(const struct session *s)
{
        return s->allowed.protocol_features & PROTOCOL_FEATURES;
}

/* The transport's own bits; a log that could not be shared would be no log. */
static uint64_t transport(const struct session *s)
{
        return protocol_features(s) & PF(LOG_SHMFD) ? TRANSPORT : BIT30;
}

int get_features(struct session *s, struct vu_msg *m)
{
        (void) m;
        return vu_reply_u64(s, s->offered | transport(s));
}

/* Without a channel to ask for them no translation would ever come: then the addresses need none. */
static bool has_iommu(const struct session *s, uint64_t acked)
{
        return acked & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) && session_has(s, VU_PF_BACKEND_REQ);
}

static int features_accepted(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        s->ledger.features = m->u64 & ~TRANSPORT;
        s->ledger.log_all = m->u64 & LOG_ALL;
        s->ledger.iommu = has_iommu(s, m->u64);
        s->ledger.has_features = true;
        s->features_refused = false;
        s->setup_until = 0;
        if (!(m->u64 & BIT30))
                for (unsigned i = 0; i < s->ledger.n_vrings; i++)
                        s->ledger.vring[i].enabled = true;
        return 0;
}

/*
 * Features other than before want all vrings stopped. User-Mode Linux only disables them, so those that are disabled
 * are stopped here, one at a time. 0: nothing runs; SESSION_WAIT; -EBUSY.
 */
static int stop_disabled(struct session *s)
{
        for (unsigned i = 0; i < s->ledger.n_vrings; i++) {
                const struct ledger_vring *vring = &s->ledger.vring[i];

                if (vring->state != VRING_STOPPED && vring->enabled)
                        return session_fail(s, -EBUSY, "vring %u is started", i);
        }
        for (unsigned i = 0; i < s->ledger.n_vrings; i++)
                if (s->ledger.vring[i].state != VRING_STOPPED)
                        return vring_stop_first(s, i);
        return 0;
}

int set_features(struct session *s, struct vu_msg *m)
{
        uint64_t acked = m->u64 & ~TRANSPORT, foreign = m->u64 & ~(s->offered | transport(s));
        bool log_all = m->u64 & LOG_ALL;
        struct proposal proposal;
        int r;

        if (foreign) {
                s->features_refused = true;
                return session_fail(s, -EINVAL, "0x%" PRIx64 " was not offered", foreign);
        }
        if (!s->ledger.has_features || acked != s->ledger.features) {
                r = stop_disabled(s);
                if (r)
                        return r;
        } else if (m->u64 & BIT30 && log_all == s->ledger.log_all && has_iommu(s, acked) == s->ledger.iommu) {
                /* Nothing new: front-ends say it twice, also to started vrings. */
                return features_accepted(s, m, 0);
        }
        proposal_features(&proposal, acked, log_all, has_iommu(s, acked), !(m->u64 & BIT30));
        return link_propose(s, &proposal, features_accepted);
}

/* Ownership is the connection itself. */
int set_owner(struct session *s, struct vu_msg *m)
{
        (void) m;
        s->setup_until = 0;
        return 0;
}

/* Deprecated, and sent with differing intent; the device is left as it is. */
int reset_owner(struct session *s, struct vu_msg *m)
{
        (void) s;
        (void) m;
        return 0;
}

int get_protocol_features(struct session *s, struct vu_msg *m)
{
        (void) m;
        return vu_reply_u64(s, protocol_features(s));
}

/* Features that make no sense without others. For the one of them the protocol knows no other answer than the end. */
static int check_needs(struct session *s, uint64_t wanted)
{
        const uint64_t inband = PF(REPLY_ACK) | PF(BACKEND_REQ);

        if (wanted & PF(INBAND_NOTIFICATIONS) && (wanted & inband) != inband) {
                session_end_quietly(s, SESSION_FRONT_END_FAILED);
                return session_fail(s, -EPROTO, "0x%" PRIx64 ": INBAND_NOTIFICATIONS alone", wanted);
        }
        if (wanted & PF(GET_VRING_BASE_INFLIGHT) && !(wanted & PF(INFLIGHT_SHMFD)))
                return session_fail(s, -EINVAL, "0x%" PRIx64 ": GET_VRING_BASE_INFLIGHT alone", wanted);
        return 0;
}

/* Bits that were not offered promise nothing, and some front-ends set them all. */
int set_protocol_features(struct session *s, struct vu_msg *m)
{
        uint64_t wanted = m->u64 & protocol_features(s), foreign = m->u64 & ~wanted;
        int r = check_needs(s, wanted);

        if (r < 0)
                return r;
        if (foreign)
                log_warning(&s->log.log, "SET_PROTOCOL_FEATURES: 0x%" PRIx64 " was not offered: ignored", foreign);
        s->ledger.protocol = wanted;
        s->setup_until = 0;
        return 0;
}

int get_queue_num(struct session *s, struct vu_msg *m)
{
        (void) m;
        return vu_reply_u64(s, s->device.queues);
}

static int reset_done(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) m;
        (void) value;
        s->ledger.features = 0;
        s->ledger.log_all = false;
        s->ledger.iommu = false;
        s->ledger.has_features = false;
        s->ledger.status = 0;
        s->features_refused = false;
        for (unsigned i = 0; i < s->ledger.n_vrings; i++) {
                struct ledger_vring *vring = &s->ledger.vring[i];

                vring->state = VRING_STOPPED;
                vring->enabled = false;
                vring->drained = true;
                vring->left = false;
                vring->has_base = false;
                vring->kick_own = false;
                fd_close(&vring->kick);
        }
        return 0;
}

int reset_device(struct session *s, struct vu_msg *m)
{
        (void) m;
        struct proposal reset = { .type = IPC_RESET };

        return link_propose(s, &reset, reset_done);
}

/* 0 loses nothing: some front-ends send it before they fetch the vrings' bases. */
int set_status(struct session *s, struct vu_msg *m)
{
        if (m->u64 > UINT8_MAX)
                return session_fail(s, -EINVAL, "status 0x%" PRIx64, m->u64);
        s->ledger.status = (uint8_t) m->u64;
        return 0;
}

int get_status(struct session *s, struct vu_msg *m)
{
        (void) m;
        return vu_reply_u64(s, s->ledger.status & ~(s->features_refused ? VIRTIO_STATUS_FEATURES_OK : 0));
}
