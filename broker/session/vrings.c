/*
 * Vrings: settings go into the ledger; SET_VRING_KICK starts one (vhost-user, "Ring states"), GET_VRING_BASE stops it.
 * Nothing here looks inside a vring: addresses are compared with the regions, that is all.
 */
#include "vrings.h"

#include "handlers.h"
#include "inband.h"
#include "inflight.h"
#include "session.h"
#include "virtio.h"

#include <errno.h>
#include <inttypes.h>

static bool is_packed(const struct session *s)
{
        return ledger_packed(&s->ledger);
}

/* Where the vring begins: as last set or stopped, else as a new ring does. */
static uint32_t base_of(const struct session *s, const struct ledger_vring *vring)
{
        return vring->has_base ? vring->base : is_packed(s) ? VRING_PACKED_BASE_FRESH : 0;
}

/* The vring that a message is about, or NULL and the reason is noted. */
static struct ledger_vring *vring_of(struct session *s, uint64_t index)
{
        struct ledger_vring *vring = ledger_vring(&s->ledger, index);

        if (!vring)
                session_fail(s, -EINVAL, "vring %" PRIu64 ": no such vring", index);
        return vring;
}

static void enter_base(struct ledger_vring *vring, uint32_t base)
{
        vring->base = base;
        vring->has_base = true;
}

static void drop_kick(struct ledger_vring *vring)
{
        fd_close(&vring->kick);
        vring->kick_own = false;
}

/* The worker has drained it: enters the base. -EPROTO: no base is so. */
static int enter_stop(struct session *s, uint32_t index, uint64_t value)
{
        struct ledger_vring *vring = &s->ledger.vring[index];
        uint64_t base = value & ~IPC_STOP_LEFT;

        if (base > (is_packed(s) ? UINT32_MAX : UINT16_MAX)) {
                session_end(s, SESSION_WORKER_FAILED, "from the worker: vring %u: base 0x%" PRIx64, index, base);
                return session_fail(s, -EPROTO, "vring %u: no base", index);
        }
        if (vring->state != VRING_STOPPED) /* a successor need not know the base of what its predecessor broke */
                enter_base(vring, (uint32_t) base);
        vring->state = VRING_STOPPED;
        vring->left = value & IPC_STOP_LEFT;
        vring->drained = !vring->left;
        drop_kick(vring);
        return 0;
}

static int stopped_now_again(struct session *s, struct vu_msg *m, uint64_t base)
{
        int r = enter_stop(s, s->link.proposal.stop.index, base);

        return r < 0 ? r : vu_again(s, m);
}

int vring_stop_first(struct session *s, uint32_t index)
{
        struct proposal proposal;

        proposal_vring_stop(&proposal, index, false);
        return link_propose(s, &proposal, stopped_now_again);
}

int set_vring_num(struct session *s, struct vu_msg *m)
{
        struct ledger_vring *vring = vring_of(s, m->vring.index);
        uint32_t size = m->vring.num;

        if (!vring)
                return -EINVAL;
        if (size < 1 || size > s->device.queue_size_max || (!is_packed(s) && size & (size - 1)))
                return session_fail(s, -EINVAL, "vring %u: size %u", m->vring.index, size);
        if (vring->state != VRING_STOPPED)
                return vring_stop_first(s, m->vring.index);
        vring->size = size;
        return 0;
}

/* Front-ends that know no upper half send none. */
static bool is_base(const struct session *s, const struct ledger_vring *vring, uint32_t base)
{
        return base == vring->base || (is_packed(s) && base == (vring->base & UINT16_MAX));
}

/* What was left is of another life. In an area of its own the front-end would have to say so. */
static void drop_left(const struct session *s, struct ledger_vring *vring)
{
        if (!vring->left || !s->ledger.inflight.own)
                return;
        vring->left = false;
        vring->drained = true;
}

int set_vring_base(struct session *s, struct vu_msg *m)
{
        struct ledger_vring *vring = vring_of(s, m->vring.index);

        if (!vring)
                return -EINVAL;
        if (!is_packed(s) && m->vring.num > UINT16_MAX)
                return session_fail(s, -EINVAL, "vring %u: base 0x%x", m->vring.index, m->vring.num);
        if (vring->state != VRING_STOPPED)
                return vring_stop_first(s, m->vring.index);
        if (!is_base(s, vring, m->vring.num))
                drop_left(s, vring);
        enter_base(vring, m->vring.num);
        return 0;
}

static bool is_aligned(const struct session *s, const struct vu_vring_addr *addr)
{
        if (is_packed(s))
                return addr->desc % 16 == 0 && addr->avail % 4 == 0 && addr->used % 4 == 0;
        return addr->desc % 16 == 0 && addr->avail % 2 == 0 && addr->used % 4 == 0;
}

static int log_switched(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        s->ledger.vring[m->addr.index].addr = m->addr;
        return 0;
}

/* The same addresses again, for a started vring: only its logging can change. */
static int switch_log(struct session *s, const struct vu_msg *m)
{
        struct proposal proposal = { .type = IPC_VRING_LOG, .length = sizeof(proposal.vring_log),
                                     .vring_log = { .index = m->addr.index, .log = m->addr.log,
                                                    .flags = m->addr.flags & VU_VRING_F_LOG } };

        return link_propose(s, &proposal, log_switched);
}

int set_vring_addr(struct session *s, struct vu_msg *m)
{
        struct ledger_vring *vring = vring_of(s, m->addr.index);

        if (!vring)
                return -EINVAL;
        if (!is_aligned(s, &m->addr))
                return session_fail(s, -EINVAL,
                                    "vring %u: desc 0x%" PRIx64 ", avail 0x%" PRIx64 ", used 0x%" PRIx64 ": alignment",
                                    m->addr.index, m->addr.desc, m->addr.avail, m->addr.used);
        if (vring->state != VRING_STOPPED && (vring->addr.desc != m->addr.desc || vring->addr.used != m->addr.used ||
                                              vring->addr.avail != m->addr.avail))
                return vring_stop_first(s, m->addr.index);
        if (vring->state == VRING_STARTED && (vring->addr.flags != m->addr.flags || vring->addr.log != m->addr.log))
                return switch_log(s, m);
        vring->addr = m->addr;
        vring->has_addr = true;
        return 0;
}

static int reply_base(struct session *s, uint32_t index)
{
        struct ledger_vring *vring = &s->ledger.vring[index];
        struct vu_vring_state state = { .index = index, .num = base_of(s, vring) };

        drop_kick(vring);
        fd_close(&vring->call);
        vring->call_own = vring->call_set = false;
        return vu_reply(s, &state, sizeof(state));
}

static int stopped(struct session *s, struct vu_msg *m, uint64_t base)
{
        int r = enter_stop(s, m->vring.index, base);

        return r < 0 ? r : reply_base(s, m->vring.index);
}

int get_vring_base(struct session *s, struct vu_msg *m)
{
        struct ledger_vring *vring = vring_of(s, m->vring.index);
        struct proposal proposal;

        if (!vring)
                return -EINVAL;
        if (vring->state == VRING_STOPPED)
                return reply_base(s, m->vring.index);
        proposal_vring_stop(&proposal, m->vring.index, session_has(s, VU_PF_GET_VRING_BASE_INFLIGHT));
        return link_propose(s, &proposal, stopped);
}

/* The word of SET_VRING_KICK, CALL and ERR: 8 bits of index, one that says that no descriptor comes, no others. */
static int check_fd_word(struct session *s, const struct vu_msg *m)
{
        bool none = m->u64 & VU_VRING_NOFD;

        if (m->u64 & ~(uint64_t) (VU_VRING_INDEX_MASK | VU_VRING_NOFD))
                return session_fail(s, -EINVAL, "vring word 0x%" PRIx64, m->u64);
        if (none != (m->n_fds == 0))
                return session_fail(s, -EBADMSG, "vring word 0x%" PRIx64 " with %u descriptors", m->u64, m->n_fds);
        return 0;
}

static uint32_t index_of(const struct vu_msg *m)
{
        return (uint32_t) (m->u64 & VU_VRING_INDEX_MASK);
}

static struct fd take_fd(struct vu_msg *m)
{
        return m->n_fds ? fd_take(&m->fd[0]) : FD_NONE;
}

static struct fd *slot_of(struct ledger_vring *vring, uint32_t which)
{
        return which == IPC_KICK ? &vring->kick : which == IPC_CALL ? &vring->call : &vring->err;
}

static int enter_fd(struct ledger_vring *vring, struct vu_msg *m, uint32_t which)
{
        struct fd *fd = slot_of(vring, which);

        fd_close(fd);
        *fd = take_fd(m);
        if (which == IPC_KICK) {
                vring->kick_own = false;
        } else if (which == IPC_CALL) {
                vring->call_own = false;
                vring->call_set = true;
        } else {
                vring->err_set = true;
        }
        return 0;
}

static int fd_changed(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        return enter_fd(&s->ledger.vring[index_of(m)], m, s->link.proposal.vring_fd.which);
}

static int change_fd(struct session *s, const struct vu_msg *m, uint32_t which)
{
        struct proposal proposal = { .type = IPC_VRING_FD, .length = sizeof(proposal.vring_fd),
                                     .vring_fd = { .index = index_of(m), .which = which } };

        if (m->n_fds)
                proposal.fd[proposal.n_fds++] = m->fd[0].num;
        return link_propose(s, &proposal, fd_changed);
}

static int set_fd(struct session *s, struct vu_msg *m, uint32_t which)
{
        int r = check_fd_word(s, m);
        struct ledger_vring *vring;

        if (r < 0)
                return r;
        vring = vring_of(s, index_of(m));
        if (!vring)
                return -EINVAL;
        return vring->state == VRING_STARTED ? change_fd(s, m, which) : enter_fd(vring, m, which);
}

int set_vring_call(struct session *s, struct vu_msg *m)
{
        return set_fd(s, m, IPC_CALL);
}

int set_vring_err(struct session *s, struct vu_msg *m)
{
        return set_fd(s, m, IPC_ERR);
}

/* Both halves name a slot; an upper half of 0 says nothing, for some front-ends send none. */
static int check_packed_base(struct session *s, uint32_t index)
{
        const struct ledger_vring *vring = &s->ledger.vring[index];
        uint32_t base = base_of(s, vring), slots = ~VRING_PACKED_BASE_FRESH; /* without the wrap counters */

        if ((base & slots & UINT16_MAX) >= vring->size || (base & slots) >> 16 >= vring->size)
                return session_fail(s, -EINVAL, "vring %u of %u: base 0x%x", index, vring->size, base);
        return 0;
}

static int check_start(struct session *s, uint32_t index)
{
        const struct ledger_vring *vring = &s->ledger.vring[index];
        const struct ledger_inflight *area = &s->ledger.inflight;

        if (!(s->ledger.features & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
                return session_fail(s, -EOPNOTSUPP, "features 0x%" PRIx64 ": the driver lacks VERSION_1",
                                    s->ledger.features);
        if (s->postcopy_waits)
                return session_fail(s, -EBUSY, "vring %u: its memory waits for the go-ahead", index);
        if (!vring->size || !vring->has_addr)
                return session_fail(s, -EINVAL, "vring %u: no %s", index, vring->size ? "addresses" : "size");
        if (!ledger_vring_in_memory(&s->ledger, vring))
                return session_fail(s, -EFAULT,
                                    "vring %u: desc 0x%" PRIx64 ", avail 0x%" PRIx64 ", used 0x%" PRIx64
                                    ", size %u: not in memory", index, vring->addr.desc, vring->addr.avail,
                                    vring->addr.used, vring->size);
        if (fd_has(&area->fd) && (index >= area->queues || vring->size > area->queue_size ||
                                  area->size < area->queues * vu_inflight_bytes(area->queue_size, is_packed(s))))
                return session_fail(s, -ENOSPC, "vring %u of %u: in-flight area of %" PRIu64 " bytes for %u of %u",
                                    index, vring->size, area->size, area->queues, area->queue_size);
        return is_packed(s) ? check_packed_base(s, index) : 0;
}

static int started(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        struct ledger_vring *vring = &s->ledger.vring[s->link.proposal.start.index];

        vring->state = vring->broke ? VRING_BROKEN : VRING_STARTED;
        vring->left = false;
        enter_fd(vring, m, IPC_KICK);
        vring->kick_own = m->header.request == VU_VRING_KICK;
        return 0;
}

/* Only the front-end's area can hold what is older than this session; a vring that was drained begins anew in it. */
static bool is_resumed(const struct session *s, const struct ledger_vring *vring)
{
        return vring->left || (!s->ledger.inflight.own && !vring->drained);
}

static int propose_start(struct session *s, struct vu_msg *m, uint32_t index)
{
        struct ledger_vring *vring = &s->ledger.vring[index];
        struct proposal proposal;
        int r = inband_take_calls(s, vring);

        if (r < 0)
                return r;
        vring->broke = false;
        enter_base(vring, base_of(s, vring));
        proposal_vring_start(&proposal, vring, index, m->n_fds ? m->fd[0].num : -1, is_resumed(s, vring));
        return link_propose(s, &proposal, started);
}

static int forgotten(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        return propose_start(s, m, s->link.proposal.forget.index);
}

/*
 * What the in-flight area says of a vring that was drained goes first: if the worker dies of the start, a successor
 * resumes, and must not go on with the life before.
 */
static int forget_first(struct session *s, uint32_t index)
{
        struct proposal proposal = { .type = IPC_VRING_FORGET, .length = sizeof(proposal.forget),
                                     .forget = { .index = index } };

        return link_propose(s, &proposal, forgotten);
}

int vring_start_by(struct session *s, struct vu_msg *m, uint32_t index)
{
        int r = check_start(s, index);

        if (r < 0)
                return r;
        if (!fd_has(&s->ledger.inflight.fd))
                return inflight_own_first(s);
        return s->ledger.vring[index].drained ? forget_first(s, index) : propose_start(s, m, index);
}

int set_vring_kick(struct session *s, struct vu_msg *m)
{
        int r = check_fd_word(s, m);
        struct ledger_vring *vring;

        if (r < 0)
                return r;
        vring = vring_of(s, index_of(m));
        if (!vring)
                return -EINVAL;
        if (vring->state == VRING_STARTED)
                return change_fd(s, m, IPC_KICK);
        if (vring->state == VRING_BROKEN)
                return vring_stop_first(s, index_of(m));
        return vring_start_by(s, m, index_of(m));
}

static int enabled(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        s->ledger.vring[m->vring.index].enabled = m->vring.num;
        return 0;
}

/* At any time, for any vring, before SET_FEATURES too; a vring that is not started learns it when it starts. */
int set_vring_enable(struct session *s, struct vu_msg *m)
{
        struct proposal proposal = { .type = IPC_VRING_ENABLE, .length = sizeof(proposal.enable),
                                     .enable = { .index = m->vring.index, .enabled = m->vring.num } };
        struct ledger_vring *vring = vring_of(s, m->vring.index);

        if (!vring)
                return -EINVAL;
        if (m->vring.num > 1)
                return session_fail(s, -EINVAL, "vring %u: enable %u", m->vring.index, m->vring.num);
        if (vring->state != VRING_STARTED)
                return enabled(s, m, 0);
        return link_propose(s, &proposal, enabled);
}
