/*
 * In-band notifications (vhost-user, "In-band notifications"): kicks come as messages, calls and errors go out over the
 * back-end channel. The worker knows nothing of that: where the front-end gives no descriptor it gets an eventfd of
 * ours. Nothing that the front-end gave is written to here.
 */
#include "inband.h"

#include "handlers.h"
#include "session.h"
#include "vrings.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

static bool in_force(const struct session *s)
{
        return session_has(s, VU_PF_INBAND_NOTIFICATIONS);
}

static int new_eventfd(struct session *s, struct fd *ret_fd)
{
        struct fd fd = { eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };

        if (!fd_has(&fd))
                return session_fail(s, -errno, "eventfd");
        *ret_fd = fd;
        return 0;
}

int inband_take_calls(struct session *s, struct ledger_vring *vring)
{
        int r;

        if (!in_force(s) || vring->call_set || fd_has(&vring->call))
                return 0;
        r = new_eventfd(s, &vring->call);
        vring->call_own = r == 0;
        return r;
}

/* The worker may have filled it: then it is kicked enough. */
static void fire(int eventfd)
{
        uint64_t one = 1;
        struct iovec part = { &one, sizeof(one) };

        if (writev(eventfd, &part, 1) < 0)
                return;
}

/* A descriptor of the front-end's is not for us to write to; the worker looks at a vring that it is told to enable. */
static int kick_started(struct session *s, const struct ledger_vring *vring, uint32_t index)
{
        struct proposal proposal = { .type = IPC_VRING_ENABLE, .length = sizeof(proposal.enable),
                                     .enable = { .index = index, .enabled = vring->enabled } };

        if (!vring->kick_own)
                return link_propose(s, &proposal, link_keeps_nothing);
        fire(vring->kick.num);
        return 0;
}

/* The first one starts the vring. One that is broken hears nothing, by whatever way it is kicked. */
int vring_kick(struct session *s, struct vu_msg *m)
{
        uint32_t index = m->vring.index;
        const struct ledger_vring *vring = ledger_vring(&s->ledger, index);
        int r;

        if (!vring || m->vring.num)
                return session_fail(s, -EINVAL, "vring %u, num %u", index, m->vring.num);
        if (vring->state == VRING_BROKEN)
                return 0;
        if (vring->state == VRING_STARTED)
                return kick_started(s, vring, index);
        if (!m->n_fds) { /* else this is the second look at it */
                r = new_eventfd(s, &m->fd[0]);
                if (r < 0)
                        return r;
                m->n_fds = 1;
        }
        return vring_start_by(s, m, index);
}

static bool is_heard(const struct session *s, const struct ledger_vring *vring)
{
        return vring->call_own && backend_has_channel(s) && !s->misses_due;
}

unsigned inband_polls(const struct session *s, struct pollfd *ret_polls)
{
        if (!in_force(s))
                return 0;
        for (unsigned i = 0; i < s->ledger.n_vrings; i++) {
                const struct ledger_vring *vring = &s->ledger.vring[i];

                ret_polls[i] = (struct pollfd){ .fd = is_heard(s, vring) ? vring->call.num : -1, .events = POLLIN };
        }
        return s->ledger.n_vrings;
}

void inband_step(struct session *s, const struct pollfd *polls, unsigned n)
{
        bool any = false;

        for (unsigned i = 0; i < n; i++) {
                uint64_t count;

                if (!(polls[i].revents & POLLIN) || !s->ledger.vring[i].call_own)
                        continue;
                if (read(s->ledger.vring[i].call.num, &count, sizeof(count)) > 0)
                        any = s->due[i].call = true;
        }
        if (any)
                backend_pay(s);
}

void inband_broken(struct session *s, uint32_t index)
{
        const struct ledger_vring *vring = &s->ledger.vring[index];

        if (!in_force(s) || vring->err_set || fd_has(&vring->err))
                return;
        s->due[index].error = true;
        backend_pay(s);
}
