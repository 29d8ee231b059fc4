/*
 * A FUSE server of one file, as small as can be: spoken in the kernel's own structs, in namespaces of its own.
 */
#include "fuse_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOT = 1, FILE_NODE = 2, FILE_BYTES = 1 << 26, REQUEST_BYTES = 1 << 16 };

static void answer(int fuse, uint64_t unique, int error, const void *body, size_t n)
{
        struct fuse_out_header header = { .len = (uint32_t) (sizeof(header) + n), .error = error, .unique = unique };
        struct iovec parts[] = { { &header, sizeof(header) }, { (void *) body, n } };

        (void) !writev(fuse, parts, 2);
}

static struct fuse_attr attributes(uint64_t node)
{
        return (struct fuse_attr){ .ino = node, .size = node == ROOT ? 0 : FILE_BYTES, .nlink = 1, .blksize = 4096,
                                   .mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0666 };
}

static void serve_one(int fuse, const struct fuse_in_header *in, bool hangs)
{
        struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096 };
        struct fuse_entry_out entry = { .nodeid = FILE_NODE, .attr_valid = 3600, .attr = attributes(FILE_NODE) };
        struct fuse_attr_out attr = { .attr_valid = 3600, .attr = attributes(in->nodeid) };
        struct fuse_open_out opened = { .fh = 1 };

        switch (in->opcode) {
        case FUSE_INIT:
                answer(fuse, in->unique, 0, &init, sizeof(init));
                break;
        case FUSE_LOOKUP:
                answer(fuse, in->unique, 0, &entry, sizeof(entry));
                break;
        case FUSE_GETATTR:
                answer(fuse, in->unique, 0, &attr, sizeof(attr));
                break;
        case FUSE_OPEN:
                answer(fuse, in->unique, 0, &opened, sizeof(opened));
                break;
        case FUSE_FLUSH:
        case FUSE_RELEASE:
                if (!hangs)
                        answer(fuse, in->unique, 0, NULL, 0);
                break;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
                break; /* have no answer */
        default:
                answer(fuse, in->unique, -ENOSYS, NULL, 0);
        }
}

static void __attribute__((noreturn)) serve(int fuse, int control)
{
        static uint8_t request[REQUEST_BYTES];

        for (;;) {
                struct pollfd told = { .fd = control, .events = POLLIN };

                if (read(fuse, request, sizeof(request)) < (ssize_t) sizeof(struct fuse_in_header) && errno != EINTR)
                        _exit(0);
                serve_one(fuse, (const struct fuse_in_header *) request, poll(&told, 1, 0) > 0);
        }
}

static int send_fd(int socket, int fd)
{
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { .item = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
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

static void write_file(const char *path, const char *text)
{
        AUTO_FD file = { open(path, O_WRONLY | O_CLOEXEC) };

        (void) !write(file.num, text, strlen(text));
}

static void map_ids(unsigned uid, unsigned gid)
{
        char line[32];

        write_file("/proc/self/setgroups", "deny");
        snprintf(line, sizeof(line), "0 %u 1", uid);
        write_file("/proc/self/uid_map", line);
        snprintf(line, sizeof(line), "0 %u 1", gid);
        write_file("/proc/self/gid_map", line);
}

static int mount_it(const char *directory, int fuse)
{
        char options[128];

        snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
        return mount("fuse", directory, "fuse", MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

static void __attribute__((noreturn)) run(const char *directory, int control)
{
        char path[256];
        const unsigned uid = geteuid(), gid = getegid();
        int fuse, r = 0;
        uint8_t why;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                r = -errno;
        map_ids(uid, gid);
        fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC); /* in the namespace that mounts it */
        if (r == 0 && fuse < 0)
                r = -errno;
        if (r == 0)
                r = mount_it(directory, fuse);
        why = (uint8_t) -r;
        if (r < 0) {
                (void) !write(control, &why, 1);
                _exit(0);
        }
        if (fork() == 0) {
                int file;

                close(fuse);
                snprintf(path, sizeof(path), "%s/f", directory);
                file = open(path, O_RDWR);
                why = (uint8_t) errno;
                if (file < 0 || send_fd(control, file) < 0)
                        (void) !write(control, &why, 1);
                _exit(0);
        }
        serve(fuse, control);
}

int fuse_file_open(const char *directory, struct fuse_file *ret_file)
{
        int pair[2], r;

        *ret_file = (struct fuse_file){ .file = FD_NONE, .control = FD_NONE };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ret_file->server = fork();
        if (ret_file->server == 0) {
                close(pair[0]);
                run(directory, pair[1]);
        }
        close(pair[1]);
        ret_file->control.num = pair[0];
        r = ret_file->server < 0 ? -errno : receive_fd(pair[0], &ret_file->file);
        if (r < 0)
                fuse_file_done(ret_file);
        return r;
}

void fuse_file_hang(struct fuse_file *file)
{
        (void) !write(file->control.num, "", 1);
}

void fuse_file_done(struct fuse_file *file)
{
        if (file->server > 0) {
                kill(file->server, SIGKILL);
                waitpid(file->server, NULL, 0);
        }
        file->server = 0;
        fd_close(&file->file);
        fd_close(&file->control);
}
