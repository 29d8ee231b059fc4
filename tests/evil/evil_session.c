/*
 * A session that was taken over. It is the real one, all its confinement included, until its front-end begins a message
 * with a command: from then on it obeys. Until then it is an honest session.
 */
#include "obey.h"
#include "session.h"

#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int __real_vu_recv(int socket, struct vu_msg *msg);
int __wrap_vu_recv(int socket, struct vu_msg *msg);

static bool command_is_next(int front)
{
        uint64_t magic = 0;
        struct iovec part = { &magic, sizeof(magic) };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

        return recvmsg(front, &message, MSG_PEEK | MSG_DONTWAIT) == sizeof(magic) && magic == EVIL_MAGIC;
}

/* With a command comes a descriptor, or none: -1. */
static void receive(int front, struct evil_command *ret_command, int *ret_fd)
{
        size_t got = 0;

        *ret_fd = -1;
        while (got < sizeof(*ret_command)) {
                union {
                        char bytes[CMSG_SPACE(sizeof(int))];
                        struct cmsghdr header;
                } control;
                struct iovec part = { (char *) ret_command + got, sizeof(*ret_command) - got };
                struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                          .msg_controllen = sizeof(control) };
                struct pollfd ready = { .fd = front, .events = POLLIN };
                ssize_t n;

                ppoll(&ready, 1, NULL, NULL);
                n = recvmsg(front, &message, MSG_DONTWAIT);
                if (n == 0)
                        _exit(0);
                if (n > 0 && CMSG_FIRSTHDR(&message))
                        memcpy(ret_fd, CMSG_DATA(&control.header), sizeof(*ret_fd));
                if (n > 0)
                        got += (size_t) n;
        }
}

static void reply(int front, const struct evil_answer *answer)
{
        struct iovec part = { (void *) answer, sizeof(*answer) };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

        if (sendmsg(front, &message, MSG_NOSIGNAL) < 0)
                _exit(0);
}

static void __attribute__((noreturn)) be_evil(const struct session *s)
{
        struct evil_command command;
        struct evil_answer answer;
        int fd;

        for (;;) {
                receive(s->front.num, &command, &fd);
                if (command.what == EVIL_HANG)
                        for (;;)
                                ppoll(NULL, 0, NULL, NULL);
                if (command.what == EVIL_WHERE)
                        answer = (struct evil_answer){ .magic = EVIL_MAGIC,
                                                       .result = s->front.num | s->link.channel.num << 16 };
                else if (command.what == EVIL_KEEP)
                        answer = (struct evil_answer){ .magic = EVIL_MAGIC, .result = fd };
                else
                        evil_obey(&command, NULL, &answer);
                reply(s->front.num, &answer);
        }
}

int __wrap_vu_recv(int socket, struct vu_msg *msg)
{
        if (msg->got == 0 && command_is_next(socket))
                be_evil((const struct session *) ((const char *) msg - offsetof(struct session, msg)));
        return __real_vu_recv(socket, msg);
}
