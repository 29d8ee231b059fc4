/*
 * Post-copy: what may come when. A worker may be hostile, and the one descriptor that it can send up goes on to the
 * front-end: it has to be a userfaultfd, for a disk or a ring of its must not leave it.
 */
#include "postcopy.h"

#include "handlers.h"
#include "session.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { ANY_ADDRESS = 1 << 20, ANY_LENGTH = 4096 };

static int propose_step(struct session *s, enum ipc_postcopy_step step, uint32_t slot, link_commit *commit)
{
        const struct proposal proposal = { .type = IPC_POSTCOPY, .length = sizeof(proposal.postcopy),
                                           .postcopy = { .step = step, .slot = slot } };

        return link_propose(s, &proposal, commit);
}

bool postcopy_expects_fd(const struct session *s)
{
        return s->link.busy == LINK_PROPOSING && s->link.proposal.type == IPC_POSTCOPY &&
               s->link.proposal.postcopy.step == IPC_POSTCOPY_ADVISE;
}

/* An anonymous inode, so that the question reaches no driver; of those only a userfaultfd wakes nobody and says 0. */
static bool is_userfaultfd(int fd)
{
        struct uffdio_range nobody = { .start = ANY_ADDRESS, .len = ANY_LENGTH };
        struct stat file;

        return fstat(fd, &file) == 0 && !(file.st_mode & S_IFMT) && ioctl(fd, UFFDIO_WAKE, &nobody) == 0;
}

int postcopy_on_userfault(struct session *s, struct packet *packet)
{
        if (!postcopy_expects_fd(s) || !is_userfaultfd(packet->fd[0].num))
                return -EPROTO;
        s->userfault = fd_take(&packet->fd[0]);
        return 0;
}

bool postcopy_binds_worker(const struct session *s)
{
        return s->postcopy == POSTCOPY_ADVISED || s->postcopy == POSTCOPY_LISTENING || postcopy_expects_fd(s);
}

bool postcopy_listens(const struct session *s)
{
        return s->postcopy == POSTCOPY_LISTENING;
}

static int advised(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        if (!fd_has(&s->userfault))
                return session_fail(s, -EPROTO, "the worker sent none");
        s->postcopy = POSTCOPY_ADVISED;
        return vu_out_fill(&s->out, m->header.request, NULL, 0, fd_take(&s->userfault));
}

int postcopy_advise(struct session *s, struct vu_msg *m)
{
        (void) m;
        if (s->postcopy != POSTCOPY_NONE)
                return session_fail(s, -EALREADY, "a second time");
        return propose_step(s, IPC_POSTCOPY_ADVISE, 0, advised);
}

static int listening(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) m;
        (void) value;
        s->postcopy = POSTCOPY_LISTENING;
        return 0;
}

int postcopy_listen(struct session *s, struct vu_msg *m)
{
        (void) m;
        if (s->postcopy != POSTCOPY_ADVISED)
                return session_fail(s, -EPROTO, "without POSTCOPY_ADVISE");
        if (ledger_gpa_end(&s->ledger))
                return session_fail(s, -EBUSY, "there is memory already");
        return propose_step(s, IPC_POSTCOPY_LISTEN, 0, listening);
}

static int ended(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) m;
        (void) value;
        s->postcopy = POSTCOPY_ENDED;
        return 0;
}

int postcopy_end(struct session *s, struct vu_msg *m)
{
        (void) m;
        if (s->postcopy != POSTCOPY_ADVISED && s->postcopy != POSTCOPY_LISTENING)
                return session_fail(s, -EPROTO, "none was begun");
        return propose_step(s, IPC_POSTCOPY_END, 0, ended);
}

bool postcopy_is_go_ahead(const struct session *s, const struct vu_msg *m)
{
        return postcopy_listens(s) && m->header.size == sizeof(m->u64) && m->u64 == 0 && !m->n_fds;
}

static int gone_ahead(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) m;
        (void) value;
        s->postcopy_waits = false;
        return 0;
}

int postcopy_go_ahead(struct session *s)
{
        if (!s->postcopy_waits)
                return session_fail(s, -EINVAL, "no region waits for it");
        return propose_step(s, IPC_POSTCOPY_REGISTER, 0, gone_ahead);
}

/* Slots 0, 1, ... are the table's regions, in their order. */
static int table_entry_found(struct session *s, struct vu_msg *m, uint64_t value)
{
        uint32_t slot = s->link.proposal.postcopy.slot;

        m->table.region[slot].uva = value;
        if (++slot < m->table.n)
                return propose_step(s, IPC_POSTCOPY_WHERE, slot, table_entry_found);
        return vu_reply(s, &m->table,
                        (uint32_t) (offsetof(struct vu_mem_table, region) + m->table.n * sizeof(struct vu_region)));
}

int postcopy_reply_table(struct session *s)
{
        s->postcopy_waits = true;
        return propose_step(s, IPC_POSTCOPY_WHERE, 0, table_entry_found);
}

static int region_found(struct session *s, struct vu_msg *m, uint64_t value)
{
        m->region.region.uva = value;
        return vu_reply(s, &m->region, sizeof(m->region));
}

int postcopy_reply_region(struct session *s, uint32_t slot)
{
        s->postcopy_waits = true;
        return propose_step(s, IPC_POSTCOPY_WHERE, slot, region_found);
}
