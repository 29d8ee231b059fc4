/*
 * Packets between our own processes: sending and receiving. Trusts nothing that arrives; lengths are compared with
 * what the kernel delivered.
 */
#include "packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control {
        struct cmsghdr align;
        char room[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
};

int packet_send(int carrier, uint16_t type, uint32_t sequence, const void *body, size_t length, const int *fds,
                unsigned n_fds)
{
        struct packet_header header = { .type = type, .length = (uint16_t) length, .sequence = sequence };
        struct iovec parts[] = { { &header, sizeof(header) }, { (void *) body, length } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = length ? 2 : 1 };
        union control control = { 0 };
        ssize_t sent;

        if (length > PACKET_BODY_MAX || n_fds > PACKET_FDS_MAX)
                return -EMSGSIZE;
        if (n_fds) {
                struct cmsghdr *item;

                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                item = CMSG_FIRSTHDR(&message);
                item->cmsg_level = SOL_SOCKET;
                item->cmsg_type = SCM_RIGHTS;
                item->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(item), fds, n_fds * sizeof(int));
        }
        do
                sent = sendmsg(carrier, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno == ENOTSOCK && !n_fds) {
                do
                        sent = writev(carrier, parts, message.msg_iovlen);
                while (sent < 0 && errno == EINTR);
        }
        return sent < 0 ? -errno : 0;
}

/* Takes every descriptor that came, so that none is lost whatever the verdict on the packet is. */
static void take_fds(struct msghdr *message, struct packet *packet)
{
        for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item)) {
                if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < (item->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                        int num;

                        memcpy(&num, CMSG_DATA(item) + i * sizeof(int), sizeof(num));
                        packet->fd[packet->n_fds++].num = num;
                }
        }
}

static int judge(const struct packet *packet, size_t got)
{
        if (got < sizeof(packet->header))
                return -EBADMSG;
        return got == sizeof(packet->header) + packet->header.length ? 0 : -EBADMSG;
}

int packet_recv(int socket, unsigned most_fds, struct packet *ret_packet)
{
        struct iovec parts[] = { { &ret_packet->header, sizeof(ret_packet->header) },
                                 { ret_packet->body, sizeof(ret_packet->body) } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
        union control control;
        ssize_t got;
        int r;

        ret_packet->header = (struct packet_header){ 0 };
        ret_packet->n_fds = 0;
        if (most_fds) {
                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
        }
        do
                got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        while (got < 0 && errno == EINTR);
        if (got < 0)
                return errno == ECONNRESET ? -ENODATA : -errno;
        take_fds(&message, ret_packet);
        if (got == 0 && ret_packet->n_fds == 0)
                return -ENODATA;
        r = judge(ret_packet, (size_t) got);
        if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || ret_packet->n_fds > most_fds)
                r = -EBADMSG;
        if (r < 0)
                packet_done(ret_packet);
        return r;
}

int packet_read(int pipe, struct packet *ret_packet)
{
        struct iovec parts[] = { { &ret_packet->header, sizeof(ret_packet->header) },
                                 { ret_packet->body, sizeof(ret_packet->body) } };
        ssize_t got;

        ret_packet->header = (struct packet_header){ 0 };
        ret_packet->n_fds = 0;
        do
                got = readv(pipe, parts, 2);
        while (got < 0 && errno == EINTR);
        if (got < 0)
                return -errno;
        if (got == 0)
                return -ENODATA;
        return judge(ret_packet, (size_t) got);
}

void packet_done(struct packet *packet)
{
        fd_close_all(packet->fd, packet->n_fds);
        packet->n_fds = 0;
}
