/*
 * An abstract socket, to which each program sends its filter's descriptor in one message.
 */
#include "listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int listener_open(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        char name[64];

        snprintf(name, sizeof(name), "vhost-broker-notes-%d", (int) getpid());
        strcpy(address.sun_path + 1, name);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 8) < 0 ||
            setenv("NOTES", name, 1) < 0) {
                int error = errno;

                if (fd >= 0)
                        close(fd);
                return -error;
        }
        return fd;
}

int listener_welcome(int socket)
{
        int peer = accept4(socket, NULL, NULL, SOCK_CLOEXEC), fd = -1;
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr header;
        } control;
        char byte;
        struct iovec part = { &byte, 1 };
        struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };

        if (peer >= 0 && recvmsg(peer, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
                memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
        if (peer >= 0)
                close(peer);
        return fd;
}
