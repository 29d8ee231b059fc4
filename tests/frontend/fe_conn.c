/*
 * The connection of a front-end.
 */
#include "fe_conn.h"
#include "fe_time.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int try_connect(const struct sockaddr_un *address, struct fd *ret_fd)
{
        AUTO_FD fd = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };

        if (fd.num < 0)
                return -errno;
        if (connect(fd.num, (const struct sockaddr *) address, sizeof(*address)))
                return -errno;
        *ret_fd = fd_take(&fd);
        return 0;
}

/* Watches the directory of a socket, so that its appearance is an event. */
static int watch_directory(const char *path, struct fd *ret_fd)
{
        AUTO_FD fd = { inotify_init1(IN_CLOEXEC | IN_NONBLOCK) };
        char directory[sizeof(((struct sockaddr_un *) NULL)->sun_path)] = ".";
        const char *slash = strrchr(path, '/');

        if (fd.num < 0)
                return -errno;
        if (slash) {
                memcpy(directory, path, slash - path + 1);
                directory[slash - path + 1] = 0;
        }
        if (inotify_add_watch(fd.num, directory, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) < 0)
                return -errno;
        *ret_fd = fd_take(&fd);
        return 0;
}

static void drain(int fd)
{
        char events[4096];

        while (read(fd, events, sizeof(events)) > 0)
                ;
}

/* There is no event for listen(2): a socket that exists but refuses is tried again every 2 ms. */
static int await_listener(int watch, int why, long long deadline)
{
        int r;

        if (why != -ENOENT && why != -ECONNREFUSED)
                return why;
        r = fe_poll(watch, POLLIN, why == -ECONNREFUSED ? fe_deadline(2) : deadline);
        drain(watch);
        if (r == -ETIMEDOUT && fe_left_ms(deadline))
                return 0;
        return r;
}

int fe_connect(const char *path, int timeout_ms, struct fe_conn *ret_conn)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        long long deadline = fe_deadline(timeout_ms);
        AUTO_FD watch = FD_NONE, fd = FD_NONE;
        int r;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        r = try_connect(&address, &fd);
        if (r) {
                r = watch_directory(path, &watch);
                if (r)
                        return r;
                while ((r = try_connect(&address, &fd)) < 0) {
                        r = await_listener(watch.num, r, deadline);
                        if (r)
                                return r;
                }
        }
        *ret_conn = fe_adopt(fd_take(&fd));
        return 0;
}

struct fe_conn fe_adopt(struct fd socket)
{
        struct fe_conn conn = FE_CONN_NONE;

        conn.fd = socket;
        return conn;
}

void fe_close(struct fe_conn *conn)
{
        fd_close(&conn->fd);
}

static ssize_t send_part(int fd, const void *bytes, size_t n, const int *fds, unsigned n_fds)
{
        union {
                char space[CMSG_SPACE(FE_SEND_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec iov = { .iov_base = (void *) bytes, .iov_len = n };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n_fds) {
                msg.msg_control = &control;
                msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                control.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
                                                  .cmsg_level = SOL_SOCKET,
                                                  .cmsg_type = SCM_RIGHTS };
                memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
        }
        return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int fe_send_raw(struct fe_conn *conn, const void *bytes, size_t n, const int *fds, unsigned n_fds)
{
        long long deadline = fe_deadline(conn->timeout_ms);
        const char *from = bytes;
        ssize_t sent;
        int r;

        if (n_fds > FE_SEND_FDS_MAX)
                return -E2BIG;
        while (n) {
                sent = send_part(conn->fd.num, from, n, fds, n_fds);
                if (sent < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (sent < 0) {
                        r = fe_poll(conn->fd.num, POLLOUT, deadline);
                        if (r)
                                return r;
                        continue;
                }
                from += sent;
                n -= sent;
                n_fds = 0;
        }
        return 0;
}

int fe_send_flags(struct fe_conn *conn, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
                  const int *fds, unsigned n_fds)
{
        struct vu_header header = { .request = request, .flags = flags, .size = size };
        char *message = malloc(sizeof(header) + size);
        int r;

        if (!message)
                return -ENOMEM;
        memcpy(message, &header, sizeof(header));
        if (size)
                memcpy(message + sizeof(header), payload, size);
        r = fe_send_raw(conn, message, sizeof(header) + size, fds, n_fds);
        free(message);
        return r;
}

int fe_send(struct fe_conn *conn, uint32_t request, const void *payload, uint32_t size)
{
        return fe_send_flags(conn, request, VU_VERSION, payload, size, NULL, 0);
}

static void keep_fds(struct msghdr *msg, struct fe_reply *reply)
{
        struct cmsghdr *c;

        for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
                unsigned n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                for (unsigned i = 0; i < n && c->cmsg_type == SCM_RIGHTS; i++)
                        memcpy(&reply->fd[reply->n_fds++].num, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        }
}

static int recv_part(struct fe_conn *conn, void *to, size_t n, struct fe_reply *reply, long long deadline)
{
        union {
                char space[CMSG_SPACE(VU_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { .iov_base = to, .iov_len = n };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t got;
        int r;

        r = fe_poll(conn->fd.num, POLLIN, deadline);
        if (r)
                return r;
        if (!reply->n_fds) {
                msg.msg_control = &control;
                msg.msg_controllen = sizeof(control);
        }
        got = recvmsg(conn->fd.num, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (got < 0)
                return -errno;
        if (!got)
                return -ECONNRESET;
        if (msg.msg_control)
                keep_fds(&msg, reply);
        return msg.msg_flags & MSG_CTRUNC ? -EMSGSIZE : (int) got;
}

static int recv_all(struct fe_conn *conn, void *to, size_t n, struct fe_reply *reply)
{
        long long deadline = fe_deadline(conn->timeout_ms);
        size_t have = 0;

        while (have < n) {
                int got = recv_part(conn, (char *) to + have, n - have, reply, deadline);

                if (got < 0 && got != -EAGAIN && got != -EINTR)
                        return got;
                if (got > 0)
                        have += got;
        }
        return 0;
}

int fe_recv(struct fe_conn *conn, struct fe_reply *ret_reply)
{
        int r;

        ret_reply->n_fds = 0;
        r = recv_all(conn, &ret_reply->header, sizeof(ret_reply->header), ret_reply);
        if (!r && ret_reply->header.size > sizeof(ret_reply->bytes))
                r = -EMSGSIZE;
        if (!r)
                r = recv_all(conn, ret_reply->bytes, ret_reply->header.size, ret_reply);
        if (r)
                fe_reply_done(ret_reply);
        return r;
}

void fe_reply_done(struct fe_reply *reply)
{
        fd_close_all(reply->fd, reply->n_fds);
        reply->n_fds = 0;
}

int fe_recv_reply(struct fe_conn *conn, uint32_t request, struct fe_reply *ret_reply)
{
        int r = fe_recv(conn, ret_reply);

        if (!r && (ret_reply->header.request != request || ret_reply->header.flags != VU_FLAGS_REPLY)) {
                fe_reply_done(ret_reply);
                r = -EBADMSG;
        }
        return r;
}

int fe_ask(struct fe_conn *conn, uint32_t request, const void *payload, uint32_t size, struct fe_reply *ret_reply)
{
        int r = fe_send(conn, request, payload, size);

        return r ? r : fe_recv_reply(conn, request, ret_reply);
}

int fe_recv_ack(struct fe_conn *conn, uint32_t request)
{
        struct fe_reply reply;
        int r = fe_recv_reply(conn, request, &reply);

        if (r)
                return r;
        fe_reply_done(&reply);
        if (reply.header.size != sizeof(reply.u64))
                return -EBADMSG;
        return reply.u64 ? -EREMOTEIO : 0;
}

int fe_tell(struct fe_conn *conn, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned n_fds)
{
        bool ack = conn->need_reply && conn->protocol_features & 1u << VU_PF_REPLY_ACK;
        uint32_t flags = VU_VERSION | (ack ? VU_FLAG_NEED_REPLY : 0);
        int r = fe_send_flags(conn, request, flags, payload, size, fds, n_fds);

        return r || !ack ? r : fe_recv_ack(conn, request);
}

int fe_gone(struct fe_conn *conn)
{
        char byte;
        ssize_t n;
        int r = fe_poll(conn->fd.num, POLLIN, fe_deadline(conn->timeout_ms));

        if (r)
                return r;
        n = recv(conn->fd.num, &byte, 1, MSG_DONTWAIT);
        return n > 0 ? -EBADMSG : 0;
}
