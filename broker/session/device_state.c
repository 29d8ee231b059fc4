/*
 * Transfer of the device's own state (vhost-user, "Migrating back-end state"). The worker reads or writes it; a
 * front-end that asks for the result waits for it alone. It has done its part by then, or nobody is left to do it: what
 * would end the transfer, and the connection, may stand behind the question, where nobody reads it.
 */
#include "device_state.h"

#include "clock.h"
#include "handlers.h"
#include "session.h"

#include <errno.h>
#include <inttypes.h>

static int transfer_begun(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) m;
        (void) value;
        return vu_reply_u64(s, VU_STATE_NOFD);
}

int set_device_state_fd(struct session *s, struct vu_msg *m)
{
        struct proposal proposal = { .type = IPC_STATE_FD, .length = sizeof(proposal.state_fd),
                                     .state_fd = { .load = m->state.direction == VU_STATE_LOAD }, .n_fds = 1 };

        if (m->n_fds != 1)
                return session_fail(s, -EBADMSG, "no descriptor");
        if (m->state.direction > VU_STATE_LOAD || m->state.phase != VU_STATE_PHASE_STOPPED)
                return session_fail(s, -EINVAL, "direction %u, phase %u", m->state.direction, m->state.phase);
        proposal.fd[0] = m->fd[0].num;
        return link_propose(s, &proposal, transfer_begun);
}

static int transfer_ended(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) m;
        return value ? session_fail(s, -EIO, "the transfer failed (%" PRIu64 ")", value) : 0;
}

int check_device_state(struct session *s, struct vu_msg *m)
{
        struct proposal proposal = { .type = IPC_STATE_CHECK };

        (void) m;
        s->state_since = clock_now_ns();
        return link_propose(s, &proposal, transfer_ended);
}

bool state_is_awaited(const struct session *s)
{
        return s->link.busy == LINK_PROPOSING && s->link.proposal.type == IPC_STATE_CHECK;
}
