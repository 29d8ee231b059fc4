/*
 * Framing. The header is read first, then exactly its payload: a read that crossed into the next message could
 * attribute that one's descriptors to this one. Trusts nothing.
 */
#include "vu_recv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

union control {
        struct cmsghdr align;
        char room[CMSG_SPACE(VU_FDS_ROOM * sizeof(int))];
};

/* Takes every descriptor that came; those for which there is no room are closed. */
static int take_fds(struct msghdr *message, struct vu_msg *msg)
{
        int r = message->msg_flags & MSG_CTRUNC ? -EMFILE : 0;

        for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item)) {
                if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < (item->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                        struct fd fd;

                        memcpy(&fd.num, CMSG_DATA(item) + i * sizeof(int), sizeof(fd.num));
                        if (msg->n_fds < VU_FDS_ROOM)
                                msg->fd[msg->n_fds++] = fd;
                        else
                                fd_close(&fd), r = -EMFILE;
                }
        }
        return r;
}

static int receive(int socket, void *to, size_t room, struct vu_msg *msg)
{
        union control control;
        struct iovec part = { to, room };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof(control) };
        ssize_t got;
        int r;

        do
                got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        while (got < 0 && errno == EINTR);
        if (got < 0)
                return errno == ECONNRESET ? -ENODATA : -errno;
        r = take_fds(&message, msg);
        if (r < 0)
                return r;
        if (got == 0)
                return msg->got ? -EPIPE : -ENODATA;
        msg->got += (size_t) got;
        return 0;
}

static int check_header(const struct vu_header *header)
{
        if ((header->flags & VU_FLAG_VERSION_MASK) != VU_VERSION)
                return -EPROTONOSUPPORT;
        if (header->flags & (VU_FLAG_REPLY | ~(uint32_t) VU_FLAGS_KNOWN))
                return -EPROTO;
        return header->size > VU_PAYLOAD_MAX ? -EMSGSIZE : 0;
}

int vu_recv(int socket, struct vu_msg *msg)
{
        const size_t head = sizeof(msg->header);
        int r;

        while (msg->got < head) {
                r = receive(socket, (char *) &msg->header + msg->got, head - msg->got, msg);
                if (r < 0)
                        return r;
                if (msg->got == head && (r = check_header(&msg->header)) < 0)
                        return r;
        }
        while (msg->got < head + msg->header.size) {
                size_t at = msg->got - head;

                r = receive(socket, msg->bytes + at, msg->header.size - at, msg);
                if (r < 0)
                        return r;
        }
        return 0;
}

void vu_msg_done(struct vu_msg *msg)
{
        fd_close_all(msg->fd, msg->n_fds);
        msg->n_fds = 0;
        msg->got = 0;
}
