/*
 * The device's config space (vhost-user, GET_CONFIG and SET_CONFIG). The worker tells its content ahead, so reading
 * costs it nothing; what may be written is the worker's to judge.
 */
#include "handlers.h"
#include "session.h"

#include <errno.h>

static uint8_t byte_at(const struct ipc_ready *device, uint64_t at)
{
        return at < device->config_size ? device->config[at] : 0;
}

/* Any offset and length: front-ends ask for what their guests read. Zeros beyond the device's own. */
int get_config(struct session *s, struct vu_msg *m)
{
        struct vu_config reply = { .offset = m->config.offset, .size = m->config.size, .flags = m->config.flags };

        if (reply.size < 1 || reply.size > VU_CONFIG_MAX)
                return session_fail(s, -EINVAL, "offset %u, size %u", reply.offset, reply.size);
        for (uint32_t i = 0; i < reply.size; i++)
                reply.bytes[i] = byte_at(&s->device, (uint64_t) reply.offset + i);
        return vu_reply(s, &reply, offsetof(struct vu_config, bytes) + reply.size);
}

/* The worker has sent its new config space ahead of the answer, and the front-end was told (backend.c). */
void propose_resize(struct session *s)
{
        struct proposal proposal = { .type = IPC_RESIZE, .length = sizeof(proposal.resize),
                                     .resize = { .capacity = s->resize_due } };

        s->resize_due = 0;
        link_propose(s, &proposal, link_keeps_nothing);
}

/* What the worker takes, it says in a CONFIG ahead of its answer: from there it enters the ledger (worker_link.c). */
int set_config(struct session *s, struct vu_msg *m)
{
        struct proposal proposal;
        uint32_t offset = m->config.offset, size = m->config.size;

        if (size < 1 || size > VU_CONFIG_MAX || offset > VU_CONFIG_MAX - size)
                return session_fail(s, -EINVAL, "offset %u, size %u", offset, size);
        if (m->header.size < offsetof(struct vu_config, bytes) + size)
                return session_fail(s, -EBADMSG, "size %u in %u bytes", size, m->header.size);
        proposal_set_config(&proposal, offset, m->config.bytes, size);
        return link_propose(s, &proposal, link_keeps_nothing);
}
