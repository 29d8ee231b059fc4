/*
 * Programs under test: start and end.
 */
#include "prog.h"
#include "fe_time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PASSED = 3 };

/* An abstract address, so that a program that has changed its uid still reaches it. */
static int make_notify(struct prog *s, char name[108])
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t n = sizeof(sa_family_t); /* autobind */

        s->notify.num = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (s->notify.num < 0 || bind(s->notify.num, (struct sockaddr *) &address, n))
                return -errno;
        n = sizeof(address);
        if (getsockname(s->notify.num, (struct sockaddr *) &address, &n))
                return -errno;
        snprintf(name, 108, "@%.*s", (int) (n - sizeof(sa_family_t) - 1), address.sun_path + 1);
        return 0;
}

/* As systemd hands it over: descriptor 3, known by these variables (sd_listen_fds(3)). */
static void pass_socket(int listening)
{
        char pid[16];

        snprintf(pid, sizeof(pid), "%d", (int) getpid());
        dup2(listening, PASSED);
        fcntl(PASSED, F_SETFD, 0); /* it may have been that very number */
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
}

static void run(char *const argv[], int err, const char *notify, int listening)
{
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(err, 2);
        dup2(err, 1);
        if (listening >= 0)
                pass_socket(listening);
        setenv("NOTIFY_SOCKET", notify, 1);
        execvp(argv[0], argv);
        dprintf(2, "exec %s: %s\n", argv[0], strerror(errno));
        _exit(127);
}

int prog_start(char *const argv[], struct prog *ret_prog)
{
        return prog_start_with(argv, -1, ret_prog);
}

int prog_start_with(char *const argv[], int listening, struct prog *ret_prog)
{
        struct prog s = { .pidfd = FD_NONE, .err = FD_NONE, .notify = FD_NONE, .log = calloc(1, PROG_LOG_MAX) };
        int pair[2], r;
        char notify[108];

        prctl(PR_SET_CHILD_SUBREAPER, 1);
        r = make_notify(&s, notify);
        if (r || !s.log || pipe2(pair, O_CLOEXEC))
                return r ? r : -errno;
        s.err.num = pair[0];
        fcntl(pair[0], F_SETPIPE_SZ, PROG_LOG_MAX); /* nobody reads until somebody asks */
        fd_nonblock(pair[0], true);
        s.pid = fork();
        if (!s.pid)
                run(argv, pair[1], notify, listening);
        close(pair[1]);
        if (s.pid < 0)
                return -errno;
        s.pidfd.num = pidfd_open(s.pid, 0);
        *ret_prog = s;
        return 0;
}

static void read_log(struct prog *s)
{
        ssize_t n;

        while (s->log_n < PROG_LOG_MAX - 1 &&
               (n = read(s->err.num, s->log + s->log_n, PROG_LOG_MAX - 1 - s->log_n)) > 0)
                s->log_n += n;
        s->log[s->log_n] = 0;
}

/* Waits for input of fd or the end of the program: -ECHILD. */
static int wait_either(const struct prog *s, int fd, long long deadline)
{
        struct pollfd p[2] = {
                {.fd = fd,            .events = POLLIN},
                { .fd = s->pidfd.num, .events = POLLIN}
        };
        int n = poll(p, 2, fe_left_ms(deadline));

        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        if (!n)
                return -ETIMEDOUT;
        return p[0].revents & POLLIN ? 0 : -ECHILD;
}

int prog_ready(struct prog *s, int timeout_ms)
{
        long long deadline = fe_deadline(timeout_ms);
        char text[1024];
        int r = 0;

        while (!r) {
                ssize_t n = recv(s->notify.num, text, sizeof(text) - 1, 0);

                if (n > 0) {
                        text[n] = 0;
                        if (!strstr(text, "READY=1"))
                                continue;
                        fd_close(&s->notify); /* nobody would read what comes later, and a full queue blocks its writer
                                               */
                        return 0;
                }
                r = wait_either(s, s->notify.num, deadline);
        }
        read_log(s);
        return r;
}

int prog_log_wait(struct prog *s, size_t from, const char *text, int timeout_ms)
{
        long long deadline = fe_deadline(timeout_ms);
        int r = 0;

        for (;;) {
                read_log(s);
                if (from <= s->log_n && strstr(s->log + from, text))
                        return 0;
                if (r)
                        return r;
                r = wait_either(s, s->err.num, deadline);
        }
}

void prog_done(struct prog *s)
{
        fd_close(&s->pidfd);
        fd_close(&s->err);
        fd_close(&s->notify);
        free(s->log);
        s->log = NULL;
}

int prog_end(struct prog *s, int timeout_ms, int *ret_status)
{
        int r = fe_poll(s->pidfd.num, POLLIN, fe_deadline(timeout_ms));

        if (r)
                return r;
        if (waitpid(s->pid, ret_status, 0) != s->pid)
                return -errno;
        read_log(s);
        s->pid = 0;
        return 0;
}

unsigned prog_kill_left_overs(void)
{
        pid_t pids[64];
        unsigned n = prog_find(getpid(), NULL, pids, 64);

        for (unsigned i = 0; i < n && i < 64; i++) {
                fprintf(stderr, "left over: process %d\n", (int) pids[i]);
                kill(pids[i], SIGKILL);
        }
        while (waitpid(-1, NULL, 0) > 0)
                ;
        return n;
}

/* Reaps adopted orphans until there are none; SIGCHLD has to be blocked by the caller. */
static int reap_orphans(long long deadline)
{
        struct timespec tick = { .tv_nsec = 2000000 };
        sigset_t child;
        pid_t pid;

        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
                if (!pid && !fe_left_ms(deadline))
                        return prog_kill_left_overs() ? -EBUSY : 0;
                if (!pid) /* an orphan's SIGCHLD may have gone to its first parent: look again soon */
                        sigtimedwait(&child, NULL, &tick);
        }
        return 0;
}

int prog_stop(struct prog *s, int timeout_ms, int *ret_status, int *ret_ms)
{
        long long from = fe_now_ns(), deadline = fe_deadline(timeout_ms);
        sigset_t child, before;
        int r = 0, left;

        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child, &before);
        if (s->pid) {
                kill(s->pid, SIGTERM);
                r = prog_end(s, timeout_ms, ret_status);
        }
        if (r == -ETIMEDOUT) {
                kill(s->pid, SIGKILL);
                waitpid(s->pid, ret_status, 0);
        }
        left = reap_orphans(deadline);
        sigprocmask(SIG_SETMASK, &before, NULL);
        *ret_ms = (int) ((fe_now_ns() - from) / 1000000);
        prog_done(s);
        return r ? r : left;
}
