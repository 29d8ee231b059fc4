/*
 * What the kernel alone takes for a process like ours: one clone with the same namespaces, its id map, exec of a static
 * program, its first byte; net namespace and empty root are there, as they are for ours. None of the broker's code, no
 * limits, no capabilities dropped, no landlock, no filter. What one-start measures is to be compared with this, from
 * the same minute of the same machine.
 *
 *   bare-start [STARTS]
 */
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 10000 };

#define SAYS "says" /* as argv[0]: the program that is started */

static double now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

static void __attribute__((noreturn)) be_child(int program, int go, int said)
{
        char *const arguments[] = { SAYS, NULL }, *const environment[] = { NULL };
        char byte;

        if (read(go, &byte, 1) != 1 || dup2(said, 1) < 0)
                _exit(2);
        syscall(SYS_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
        _exit(4);
}

/* Once, for all. */
static void enter_empty_root(void)
{
        if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("none", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                  "size=4096,nr_inodes=1,mode=555") < 0 ||
            chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
                err(1, "an empty root");
}

static void write_map(int proc, pid_t pid, const char *file)
{
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "%d/%s", (int) pid, file);
        fd = openat(proc, path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0 0 1", 5) != 5)
                err(1, "%s", path);
        close(fd);
}

static double start_one(int proc, int program)
{
        const unsigned long flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
        int go[2], said[2], status;
        double from, took;
        char byte;
        pid_t pid;

        if (pipe2(go, O_CLOEXEC) < 0 || pipe2(said, O_CLOEXEC) < 0)
                err(1, "pipe2");
        from = now_ms();
        pid = (pid_t) syscall(SYS_clone, flags, NULL, NULL, NULL, 0);
        if (pid < 0)
                err(1, "clone");
        if (pid == 0)
                be_child(program, go[0], said[1]);
        close(said[1]);
        write_map(proc, pid, "gid_map");
        write_map(proc, pid, "uid_map");
        if (write(go[1], "", 1) != 1 || read(said[0], &byte, 1) != 1)
                errx(1, "the child says nothing");
        took = now_ms() - from;
        if (waitpid(pid, &status, 0) != pid || status)
                errx(1, "the child ended with status %#x", status);
        close(go[0]);
        close(go[1]);
        close(said[0]);
        return took;
}

static int by_size(const void *a, const void *b)
{
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
        static double ms[MOST];
        unsigned n = argc > 1 ? (unsigned) atoi(argv[1]) : 500;
        int program, proc;

        if (argc > 0 && strcmp(argv[0], SAYS) == 0)
                return write(1, "", 1) == 1 ? 0 : 5;
        program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (program < 0 || proc < 0 || !n || n > MOST)
                errx(2, "bare-start [STARTS]");
        enter_empty_root();
        start_one(proc, program);
        for (unsigned i = 0; i < n; i++)
                ms[i] = start_one(proc, program);
        qsort(ms, n, sizeof(ms[0]), by_size);
        printf("the kernel alone, %u starts: median %.3f ms, p90 %.3f ms, max %.3f ms\n", n, ms[n / 2], ms[n * 9 / 10],
               ms[n - 1]);
        return 0;
}
