/*
 * The back-end channel (vhost-user, "Back-end message types"): a socket, or a pipe from older User-Mode Linux.
 */
#include "backend.h"

#include "handlers.h"
#include "session.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

static int backend_send(int channel, uint32_t request)
{
        struct vu_header header = { .request = request, .flags = VU_VERSION };
        struct iovec part = { &header, sizeof(header) };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

        if (sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                return 0;
        if (errno == ENOTSOCK && writev(channel, &part, 1) >= 0)
                return 0;
        return -errno;
}

/* A channel that is full has this message in it already, unread; one that is gone is closed. */
void backend_config_changed(struct session *s)
{
        int r;

        if (!session_has(s, VU_PF_CONFIG) || !session_has(s, VU_PF_BACKEND_REQ) || !fd_has(&s->ledger.backend)) {
                s->config_change_due = true;
                return;
        }
        s->config_change_due = false;
        r = backend_send(s->ledger.backend.num, VU_BACKEND_CONFIG_CHANGE_MSG);
        if (r == 0 || r == -EAGAIN)
                return;
        log_warning(&s->log.log, "CONFIG_CHANGE_MSG: %s; channel closed", log_errno(r));
        fd_close(&s->ledger.backend);
}

/* Only a pipe has to be told not to block; a socket is told with each message. */
static int check_channel(int fd)
{
        struct stat file;

        if (fstat(fd, &file) < 0)
                return -errno;
        if (S_ISFIFO(file.st_mode))
                return fd_nonblock(fd, true);
        return S_ISSOCK(file.st_mode) ? 0 : -ENOTSOCK;
}

int set_backend_req_fd(struct session *s, struct vu_msg *m)
{
        int r;

        if (m->n_fds != 1)
                return session_fail(s, -EBADMSG, "no descriptor");
        r = check_channel(m->fd[0].num);
        if (r < 0)
                return session_fail(s, r, "no socket and no pipe");
        fd_close(&s->ledger.backend);
        s->ledger.backend = fd_take(&m->fd[0]);
        if (s->config_change_due)
                backend_config_changed(s);
        return 0;
}
