/*
 * A FUSE server that answers all but closes, once it is told so; its file is opened beside it and handed over.
 */
#include "fuse_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void __attribute__((noreturn)) serve(int fuse, int control)
{
        static uint8_t request[FUSE_SERVER_REQUEST_BYTES];

        for (;;) {
                const struct fuse_in_header *in = (const struct fuse_in_header *) request;
                struct pollfd told = { .fd = control, .events = POLLIN };

                if (read(fuse, request, sizeof(request)) < (ssize_t) sizeof(*in) && errno != EINTR)
                        _exit(0);
                if ((in->opcode != FUSE_FLUSH && in->opcode != FUSE_RELEASE) || poll(&told, 1, 0) == 0)
                        fuse_server_do(fuse, in, 0);
        }
}

static int send_fd(int socket, int fd)
{
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { .item = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(sizeof(int)) } };
        struct iovec part = { "", 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof(control.room) };

        memcpy(CMSG_DATA(&control.item), &fd, sizeof(fd));
        return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The byte says why there is no descriptor with it. */
static int receive_fd(int socket, struct fd *ret_fd)
{
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        uint8_t why = 0;
        struct iovec part = { &why, 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof(control.room) };
        const struct cmsghdr *item;

        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0)
                return -ECHILD;
        item = CMSG_FIRSTHDR(&message);
        if (!item)
                return -(int) why;
        memcpy(&ret_fd->num, CMSG_DATA(item), sizeof(int));
        return 0;
}

static void __attribute__((noreturn)) run(const char *directory, int control)
{
        char path[256];
        struct fd fuse;
        uint8_t why;

        why = (uint8_t) -fuse_server_mount(directory, true, &fuse);
        if (why) {
                (void) !write(control, &why, 1);
                _exit(0);
        }
        if (fork() == 0) {
                int file;

                fd_close(&fuse);
                snprintf(path, sizeof(path), "%s/f", directory);
                file = open(path, O_RDWR);
                why = (uint8_t) errno;
                if (file < 0 || send_fd(control, file) < 0)
                        (void) !write(control, &why, 1);
                _exit(0);
        }
        serve(fuse.num, control);
}

int fuse_file_open(const char *directory, struct fuse_file *ret_file)
{
        int r = fuse_server_start(run, directory, &ret_file->server);

        ret_file->file = FD_NONE;
        if (r == 0)
                r = receive_fd(ret_file->server.control.num, &ret_file->file);
        if (r < 0)
                fuse_file_done(ret_file);
        return r;
}

void fuse_file_hang(struct fuse_file *file)
{
        (void) !write(file->server.control.num, "", 1);
}

void fuse_file_done(struct fuse_file *file)
{
        fuse_server_end(&file->server);
        fd_close(&file->file);
}
