/*
 * The in-flight area (vhost-user, "Inflight I/O tracking"). It is made and passed on here, never mapped. The worker
 * always has one: the front-end's, or ours if the front-end sets none. Its content is hostile either way, and is the
 * worker's business.
 */
#include "inflight.h"

#include "handlers.h"
#include "sealed.h"
#include "session.h"
#include "virtio.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

int inflight_new(uint64_t size, struct fd *ret_fd)
{
        return sealed_new("inflight", size, ret_fd);
}

static bool has_packed(uint64_t features)
{
        return features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}

static int check_numbers(struct session *s, const struct vu_inflight *wanted)
{
        if (wanted->queues < 1 || wanted->queues > s->device.queues || wanted->queue_size < 1 ||
            wanted->queue_size > s->device.queue_size_max)
                return session_fail(s, -EINVAL, "%u queues of %u", wanted->queues, wanted->queue_size);
        return 0;
}

static uint64_t size_of(const struct session *s, const struct vu_inflight *wanted)
{
        return wanted->queues * vu_inflight_bytes(wanted->queue_size, has_packed(s->ledger.features));
}

/* The reply is as long as the request: the struct has padding at its end, which not all front-ends send. */
int get_inflight_fd(struct session *s, struct vu_msg *m)
{
        struct vu_inflight area = { .queues = m->inflight.queues, .queue_size = m->inflight.queue_size };
        struct fd fd;
        int r = check_numbers(s, &area);

        if (r < 0)
                return r;
        area.size = size_of(s, &area);
        r = inflight_new(area.size, &fd);
        if (r < 0)
                return session_fail(s, r, "%" PRIu64 " bytes", area.size);
        return vu_out_fill(&s->out, m->header.request, &area, m->header.size, fd);
}

static int check_area(struct session *s, const struct vu_msg *m)
{
        const struct vu_inflight *area = &m->inflight;
        uint64_t end;
        struct stat file;
        int r = check_numbers(s, area);

        if (r < 0)
                return r;
        if (__builtin_add_overflow(area->size, area->offset, &end) || end > INT64_MAX)
                return session_fail(s, -EOVERFLOW, "0x%" PRIx64 "+0x%" PRIx64, area->offset, area->size);
        if (area->size < size_of(s, area))
                return session_fail(s, -EINVAL, "%" PRIu64 " bytes for %u queues of %u", area->size, area->queues,
                                    area->queue_size);
        if (fstat(m->fd[0].num, &file) < 0)
                return session_fail(s, -errno, "fstat");
        if (!S_ISREG(file.st_mode) || (uint64_t) file.st_size < end)
                return session_fail(s, -ERANGE, "file with 0x%" PRIx64 " bytes at 0x%" PRIx64, area->size,
                                    area->offset);
        return 0;
}

static int area_accepted(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        for (unsigned i = 0; i < s->ledger.n_vrings; i++)
                s->ledger.vring[i].drained = s->ledger.vring[i].left = false;
        fd_close(&s->ledger.inflight.fd);
        s->ledger.inflight = (struct ledger_inflight){
                .fd = fd_take(&m->fd[0]), .size = m->inflight.size, .offset = m->inflight.offset,
                .queues = m->inflight.queues, .queue_size = m->inflight.queue_size,
        };
        return 0;
}

int set_inflight_fd(struct session *s, struct vu_msg *m)
{
        struct proposal proposal;
        struct ledger_inflight area;
        int r;

        if (m->n_fds != 1)
                return session_fail(s, -EBADMSG, "no descriptor");
        r = check_area(s, m);
        if (r < 0)
                return r;
        area = (struct ledger_inflight){ .fd = { m->fd[0].num }, .size = m->inflight.size,
                                         .offset = m->inflight.offset, .queues = m->inflight.queues,
                                         .queue_size = m->inflight.queue_size };
        proposal_inflight(&proposal, &area);
        return link_propose(s, &proposal, area_accepted);
}

/* The area waits in the message, behind the descriptors that came with it: a handler that failed leaves none behind. */
static int own_accepted(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        const struct ipc_inflight *area = &s->link.proposal.inflight;

        s->ledger.inflight = (struct ledger_inflight){
                .fd = fd_take(&m->fd[--m->n_fds]), .own = true, .size = area->size, .offset = area->offset,
                .queues = area->queues, .queue_size = area->queue_size,
        };
        return vu_again(s, m);
}

int inflight_own_first(struct session *s)
{
        struct vu_msg *m = &s->msg;
        struct ledger_inflight area = { .queues = s->device.queues, .queue_size = s->device.queue_size_max };
        struct proposal proposal;
        int r;

        area.size = area.queues * vu_inflight_bytes(area.queue_size, has_packed(s->offered));
        r = inflight_new(area.size, &area.fd);
        if (r < 0)
                return session_fail(s, r, "in-flight area of %" PRIu64 " bytes", area.size);
        proposal_inflight(&proposal, &area);
        m->fd[m->n_fds++] = area.fd; /* there is room: its rule lets at most one come */
        return link_propose(s, &proposal, own_accepted);
}
