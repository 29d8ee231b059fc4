/*
 * The dirty log of a live migration (vhost-user, "Migration"): judged here, mapped and written by the worker.
 */
#include "handlers.h"
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

enum { BYTE_COVERS = 8 * 4096 }; /* bytes of guest memory; the page is 4096 everywhere */

static int check_log(struct session *s, const struct vu_msg *m)
{
        const struct vu_log *log = &m->log;
        uint64_t end, covered;
        struct stat file;

        if (log->offset % 8)
                return session_fail(s, -EINVAL, "offset 0x%" PRIx64 ": alignment", log->offset);
        if (__builtin_add_overflow(log->size, log->offset, &end) || end > INT64_MAX)
                return session_fail(s, -EOVERFLOW, "0x%" PRIx64 "+0x%" PRIx64, log->offset, log->size);
        if (__builtin_mul_overflow(log->size, BYTE_COVERS, &covered))
                covered = UINT64_MAX;
        if (log->size == 0 || covered < ledger_gpa_end(&s->ledger))
                return session_fail(s, -EINVAL, "%" PRIu64 " bytes for memory up to 0x%" PRIx64, log->size,
                                    ledger_gpa_end(&s->ledger));
        if (fstat(m->fd[0].num, &file) < 0)
                return session_fail(s, -errno, "fstat");
        if (!S_ISREG(file.st_mode) || (uint64_t) file.st_size < end)
                return session_fail(s, -ERANGE, "file with 0x%" PRIx64 " bytes at 0x%" PRIx64, log->size, log->offset);
        return 0;
}

/* Front-ends differ in what they read of the reply; the request itself suits them all. */
static int log_accepted(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        fd_close(&s->ledger.log.fd);
        s->ledger.log = (struct ledger_log){ .fd = fd_take(&m->fd[0]), .size = m->log.size, .offset = m->log.offset };
        return vu_reply(s, &m->log, sizeof(m->log));
}

int set_log_base(struct session *s, struct vu_msg *m)
{
        struct ledger_log log = { .size = m->log.size, .offset = m->log.offset };
        struct proposal proposal;
        int r;

        if (m->n_fds != 1)
                return session_fail(s, -EBADMSG, "no descriptor");
        r = check_log(s, m);
        if (r < 0)
                return r;
        log.fd.num = m->fd[0].num;
        proposal_dirty_log(&proposal, &log);
        return link_propose(s, &proposal, log_accepted);
}

static int call_accepted(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        fd_close(&s->ledger.log_call);
        s->ledger.log_call = m->n_fds ? fd_take(&m->fd[0]) : FD_NONE;
        return 0;
}

int set_log_fd(struct session *s, struct vu_msg *m)
{
        struct proposal proposal;

        proposal_dirty_log_fd(&proposal, m->n_fds ? m->fd[0].num : -1);
        return link_propose(s, &proposal, call_accepted);
}
