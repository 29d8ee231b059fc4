/*
 * Runs a program under a filter that tells a listener of every system call, its own and those of all it starts:
 *
 *   with_notes ARGUMENT...          (what: $NOTED_PROGRAM; to whom: the abstract socket $NOTES)
 *
 * or only of those named in $NOTED_CALLS, with blanks between them; what the listener answers is then what they do.
 * It keeps its process id, and stands before the filters that the program loads itself: those still kill.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { CALLS_MOST = 64 }; /* named */
enum { TO_LISTENER = 900 }; /* no program has a descriptor of that number: its sendmsg is the one call not told */

static int load(void)
{
        struct sock_filter all[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TO_LISTENER, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        };
        struct sock_filter some[2 * CALLS_MOST + 2] = { all[0] };
        struct sock_fprog program = { .len = sizeof(all) / sizeof(all[0]), .filter = all };
        char *names = getenv("NOTED_CALLS") ? strdup(getenv("NOTED_CALLS")) : NULL;
        unsigned short n = 1;

        for (char *name = names ? strtok(names, " ") : NULL; name; name = strtok(NULL, " ")) {
                int call = seccomp_syscall_resolve_name(name);

                if (call < 0 || n + 3 > 2 * CALLS_MOST)
                        errx(99, "%s", name);
                some[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned) call, 0, 1);
                some[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
        }
        some[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        if (names)
                program = (struct sock_fprog){ .len = n, .filter = some };
        free(names);
        return (int) syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void reach_listener(const char *name)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        strncpy(address.sun_path + 1, name, sizeof(address.sun_path) - 2);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || dup3(fd, TO_LISTENER, O_CLOEXEC) < 0)
                err(99, "%s", name);
        close(fd);
}

int main(int argc, char **argv)
{
        const char *program = getenv("NOTED_PROGRAM"), *name = getenv("NOTES");
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr header;
        } control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
        struct iovec part = { "", 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof(control) };
        int notes;

        (void) argc;
        if (!program || !name)
                errx(99, "NOTED_PROGRAM and NOTES must be set");
        reach_listener(name);
        if (geteuid() != 0)
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        notes = load();
        if (notes < 0)
                err(99, "filter");
        memcpy(CMSG_DATA(&control.header), &notes, sizeof(notes));
        if (sendmsg(TO_LISTENER, &message, 0) != 1)
                _exit(99);
        close(notes);
        execv(program, argv);
        _exit(99);
}
