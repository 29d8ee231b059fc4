/*
 * The part of a FUSE server that is the same whatever its file is good for.
 */
#include "fuse_server.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOT = 1, THE_FILE = 2 };

void fuse_server_answer(int fuse, uint64_t unique, int error, const void *body, size_t n)
{
        struct fuse_out_header header = { .len = (uint32_t) (sizeof(header) + n), .error = error, .unique = unique };
        struct iovec parts[] = {
                {&header,        sizeof(header)},
                { (void *) body, n             }
        };

        (void) !writev(fuse, parts, 2);
}

static struct fuse_attr attributes(uint64_t node)
{
        return (struct fuse_attr){ .ino = node,
                                   .size = node == ROOT ? 0 : FUSE_SERVER_BYTES,
                                   .nlink = 1,
                                   .blksize = 4096,
                                   .mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0666 };
}

void fuse_server_do(int fuse, const struct fuse_in_header *in, uint32_t open_flags)
{
        struct fuse_init_out init = {
                .major = FUSE_KERNEL_VERSION, .minor = 31, .flags = FUSE_ASYNC_DIO, .max_write = FUSE_SERVER_WRITE_MOST
        };
        struct fuse_entry_out entry = { .nodeid = THE_FILE, .attr_valid = 3600, .attr = attributes(THE_FILE) };
        struct fuse_attr_out attr = { .attr_valid = 3600, .attr = attributes(in->nodeid) };
        struct fuse_open_out opened = { .fh = 1, .open_flags = open_flags };

        switch (in->opcode) {
        case FUSE_INIT:
                fuse_server_answer(fuse, in->unique, 0, &init, sizeof(init));
                break;
        case FUSE_LOOKUP:
                fuse_server_answer(fuse, in->unique, 0, &entry, sizeof(entry));
                break;
        case FUSE_GETATTR:
                fuse_server_answer(fuse, in->unique, 0, &attr, sizeof(attr));
                break;
        case FUSE_OPEN:
                fuse_server_answer(fuse, in->unique, 0, &opened, sizeof(opened));
                break;
        case FUSE_FLUSH:
        case FUSE_RELEASE:
                fuse_server_answer(fuse, in->unique, 0, NULL, 0);
                break;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
                break; /* have no answer */
        default:
                fuse_server_answer(fuse, in->unique, -ENOSYS, NULL, 0);
        }
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

static int enter_namespaces(bool own_user)
{
        const unsigned uid = geteuid(), gid = getegid();

        if (unshare(CLONE_NEWNS | (own_user ? CLONE_NEWUSER : 0)) < 0)
                return -errno;
        if (own_user)
                map_ids(uid, gid);
        return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

int fuse_server_mount(const char *directory, bool own_user, struct fd *ret_fuse)
{
        AUTO_FD fuse = FD_NONE;
        int r = enter_namespaces(own_user);

        if (r < 0)
                return r;
        fuse.num = open("/dev/fuse", O_RDWR | O_CLOEXEC); /* in the namespace that mounts it */
        if (!fd_has(&fuse))
                return -errno;
        r = mount_it(directory, fuse.num);
        if (r == 0)
                *ret_fuse = fd_take(&fuse);
        return r;
}

int fuse_server_start(void (*run)(const char *directory, int control), const char *directory,
                      struct fuse_server *ret_server)
{
        int pair[2], r;

        *ret_server = (struct fuse_server){ .control = FD_NONE };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ret_server->pid = fork();
        r = ret_server->pid < 0 ? -errno : 0;
        if (ret_server->pid == 0) {
                close(pair[0]);
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                run(directory, pair[1]);
                _exit(0);
        }
        close(pair[1]);
        ret_server->control.num = pair[0];
        return r;
}

void fuse_server_end(struct fuse_server *server)
{
        if (server->pid > 0) {
                kill(server->pid, SIGKILL);
                waitpid(server->pid, NULL, 0);
        }
        server->pid = 0;
        fd_close(&server->control);
}
