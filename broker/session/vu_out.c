/*
 * Replies: made whole, sent in as many parts as the stream takes.
 */
#include "vu_out.h"

#include "clock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

int vu_out_fill(struct vu_out *out, uint32_t request, const void *payload, size_t size, struct fd fd)
{
        struct vu_header header = { .request = request, .flags = VU_FLAGS_REPLY, .size = (uint32_t) size };

        vu_out_done(out);
        out->fd = fd;
        if (size > sizeof(out->bytes) - sizeof(header)) {
                vu_out_done(out);
                return -EMSGSIZE;
        }
        memcpy(out->bytes, &header, sizeof(header));
        if (size)
                memcpy(out->bytes + sizeof(header), payload, size);
        out->length = sizeof(header) + size;
        out->since = clock_now_ns();
        return 0;
}

int vu_out_send(struct vu_out *out, int socket)
{
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { 0 };

        while (out->sent < out->length) {
                struct iovec part = { out->bytes + out->sent, out->length - out->sent };
                struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
                ssize_t sent;

                if (fd_has(&out->fd)) {
                        control.item = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
                                                         .cmsg_type = SCM_RIGHTS };
                        memcpy(CMSG_DATA(&control.item), &out->fd.num, sizeof(int));
                        message.msg_control = &control;
                        message.msg_controllen = CMSG_SPACE(sizeof(int));
                }
                sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (sent < 0 && errno == EINTR)
                        continue;
                if (sent < 0)
                        return -errno;
                fd_close(&out->fd);
                out->sent += (size_t) sent;
        }
        vu_out_done(out);
        return 0;
}

void vu_out_done(struct vu_out *out)
{
        fd_close(&out->fd);
        out->length = 0;
        out->sent = 0;
}
