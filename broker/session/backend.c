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

static int backend_send(int channel, uint32_t request, const void *payload, uint32_t size)
{
        struct vu_header header = { .request = request, .flags = VU_VERSION, .size = size };
        struct iovec parts[] = { { &header, sizeof(header) }, { (void *) payload, size } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

        if (sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                return 0;
        if (errno == ENOTSOCK && writev(channel, parts, 2) >= 0)
                return 0;
        return -errno;
}

bool backend_has_channel(const struct session *s)
{
        return session_has(s, VU_PF_BACKEND_REQ) && fd_has(&s->ledger.backend);
}

static void drop_channel(struct session *s, const char *message, int error)
{
        log_warning(&s->log.log, "%s: %s; channel closed", message, log_errno(error));
        fd_close(&s->ledger.backend);
}

/* A channel that is full has this message in it already, unread; one that is gone is closed. */
void backend_config_changed(struct session *s)
{
        int r;

        if (!session_has(s, VU_PF_CONFIG) || !backend_has_channel(s)) {
                s->config_change_due = true;
                return;
        }
        s->config_change_due = false;
        r = backend_send(s->ledger.backend.num, VU_BACKEND_CONFIG_CHANGE_MSG, NULL, 0);
        if (r < 0 && r != -EAGAIN)
                drop_channel(s, "CONFIG_CHANGE_MSG", r);
}

static int send_miss(const struct session *s, const struct backend_due *miss)
{
        const struct vu_iotlb message = { .iova = miss->iova, .type = VU_IOTLB_MISS,
                                          .access = miss->access & IPC_WRITE ? VU_IOTLB_WRITE : VU_IOTLB_READ };

        return backend_send(s->ledger.backend.num, VU_BACKEND_IOTLB_MSG, &message, sizeof(message));
}

static int send_notification(const struct session *s, uint32_t request, uint32_t index)
{
        const struct vu_vring_state state = { .index = index };

        return backend_send(s->ledger.backend.num, request, &state, sizeof(state));
}

/* All that is due of one vring; what the channel does not take stays due. */
static int pay_vring(struct session *s, uint32_t index)
{
        struct backend_due *due = &s->due[index];
        int r = due->miss ? send_miss(s, due) : 0;

        due->miss &= r < 0;
        if (r == 0 && due->call) {
                r = send_notification(s, VU_BACKEND_VRING_CALL, index);
                due->call = r < 0;
        }
        if (r == 0 && due->error) {
                r = send_notification(s, VU_BACKEND_VRING_ERR, index);
                due->error = r < 0;
        }
        return r;
}

void backend_pay(struct session *s)
{
        int r = 0;

        if (!backend_has_channel(s))
                return;
        for (unsigned i = 0; i < s->ledger.n_vrings && r == 0; i++)
                r = pay_vring(s, i);
        s->misses_due = r == -EAGAIN;
        if (r < 0 && r != -EAGAIN)
                drop_channel(s, "back-end message", r);
}

void backend_iotlb_miss(struct session *s, const struct ipc_iotlb_miss *miss)
{
        struct backend_due *due = &s->due[miss->index];

        due->miss = true;
        due->access = miss->access;
        due->iova = miss->iova;
        if (!s->misses_due)
                backend_pay(s);
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
        s->misses_due = false;
        if (s->config_change_due)
                backend_config_changed(s);
        backend_pay(s);
        return 0;
}
