/*
 * A thread answers for the kernel. Who is asked about is told by its program: what the broker has forked has the
 * broker's until it executes its own.
 */
#include "faults.h"
#include "listener.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct faults {
        pthread_t thread;
        struct fd socket, end, met_event;
        pthread_mutex_t lock;      /* for what follows */
        const struct fault *fault; /* NULL: none is armed, or it was met */
        pid_t broker;
        unsigned seen; /* that were like it */
        bool met;
        uint64_t hung; /* the last that hangs, and who waits for the answer: */
        int listener;
};

static bool is_in(const struct faults *faults, pid_t pid, enum fault_in in)
{
        static const char *const names[] = { [FAULT_BROKER] = "vhost-broker",
                                             [FAULT_STAGE] = "vhost-broker",
                                             [FAULT_SESSION] = "vhost-session",
                                             [FAULT_WORKER] = "vhost-worker" };
        char path[64], name[256];
        const char *slash;
        ssize_t n;

        if (in == FAULT_ANYWHERE)
                return true;
        snprintf(path, sizeof(path), "/proc/%d/exe", (int) pid);
        n = readlink(path, name, sizeof(name) - 1);
        name[n < 0 ? 0 : n] = '\0';
        slash = strrchr(name, '/');
        return !strcmp(slash ? slash + 1 : name, names[in]) &&
               (in != FAULT_BROKER || !faults->broker || pid == faults->broker) &&
               (in != FAULT_STAGE || pid != faults->broker);
}

static bool ends_in(pid_t pid, uint64_t at, const char *text)
{
        char path[64], found[128] = "";
        size_t n, wanted = strlen(text);
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/mem", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || pread(fd, found, sizeof(found) - 1, (off_t) at) < 0)
                found[0] = '\0';
        if (fd >= 0)
                close(fd);
        n = strlen(found);
        return n >= wanted && !strcmp(found + n - wanted, text);
}

static bool is_like(const struct faults *faults, const struct seccomp_notif *call)
{
        const struct fault *fault = faults->fault;

        if (!fault || call->data.nr != seccomp_syscall_resolve_name(fault->call) ||
            !is_in(faults, (pid_t) call->pid, fault->in))
                return false;
        for (unsigned i = 0; i < 6; i++)
                if ((call->data.args[i] & fault->argument[i].mask) != fault->argument[i].value ||
                    (fault->argument[i].given && !call->data.args[i]))
                        return false;
        return !fault->text || ends_in((pid_t) call->pid, call->data.args[1], fault->text);
}

/* The answer: FAULT_HANG is none. */
static void judge(struct faults *faults, const struct seccomp_notif *call, int listener)
{
        struct seccomp_notif_resp answer = { .id = call->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        bool hangs = false;

        pthread_mutex_lock(&faults->lock);
        if (is_like(faults, call) && faults->seen++ >= faults->fault->skip) {
                hangs = faults->fault->error == FAULT_HANG;
                if (hangs) {
                        faults->hung = call->id;
                        faults->listener = listener;
                }
                answer.flags = 0;
                answer.error = -faults->fault->error;
                if (!faults->fault->always && faults->seen > faults->fault->skip + faults->fault->more)
                        faults->fault = NULL;
                faults->met = true;
                eventfd_write(faults->met_event.num, 1);
        }
        pthread_mutex_unlock(&faults->lock);
        if (!hangs)
                ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer); /* who was killed meanwhile needs none */
}

static void *answer_for_the_kernel(void *context)
{
        struct faults *faults = context;
        struct pollfd from[3] = {
                {.fd = faults->end.num,     .events = POLLIN},
                { .fd = faults->socket.num, .events = POLLIN},
                { .fd = -1,                 .events = POLLIN}
        };

        for (;;) {
                struct seccomp_notif call = { 0 };

                if (poll(from, 3, -1) < 0)
                        continue;
                if (from[0].revents)
                        break;
                if (from[2].revents & POLLIN && ioctl(from[2].fd, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0) {
                        judge(faults, &call, from[2].fd);
                } else if (from[2].revents & POLLHUP) { /* its last process has ended */
                        close(from[2].fd);
                        from[2].fd = -1;
                }
                if (from[1].revents & POLLIN && from[2].fd < 0)
                        from[2].fd = listener_welcome(from[1].fd);
        }
        if (from[2].fd >= 0)
                close(from[2].fd);
        return NULL;
}

struct faults *faults_new(const char *calls)
{
        struct faults *faults = calloc(1, sizeof(*faults));

        ck_assert(faults != NULL && getenv("WITH_NOTES") != NULL && getenv("VHOST_BROKER") != NULL);
        pthread_mutex_init(&faults->lock, NULL);
        faults->end.num = eventfd(0, EFD_CLOEXEC);
        faults->met_event.num = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        faults->socket.num = listener_open();
        ck_assert_int_ge(faults->socket.num, 0);
        setenv("NOTED_CALLS", calls, 1);
        setenv("NOTED_PROGRAM", getenv("VHOST_BROKER"), 1);
        setenv("VHOST_BROKER", getenv("WITH_NOTES"), 1);
        ck_assert_int_eq(pthread_create(&faults->thread, NULL, answer_for_the_kernel, faults), 0);
        return faults;
}

void faults_free(struct faults *faults)
{
        eventfd_write(faults->end.num, 1);
        pthread_join(faults->thread, NULL);
        fd_close(&faults->end);
        fd_close(&faults->met_event);
        fd_close(&faults->socket);
        free(faults);
}

void faults_arm(struct faults *faults, const struct fault *fault, pid_t broker)
{
        eventfd_t old;

        pthread_mutex_lock(&faults->lock);
        eventfd_read(faults->met_event.num, &old);
        faults->fault = fault;
        faults->broker = broker;
        faults->seen = 0;
        faults->met = false;
        pthread_mutex_unlock(&faults->lock);
}

bool faults_met(struct faults *faults)
{
        bool met;

        pthread_mutex_lock(&faults->lock);
        met = faults->met;
        faults->fault = NULL;
        pthread_mutex_unlock(&faults->lock);
        return met;
}

void faults_await(struct faults *faults)
{
        OK(fe_poll(faults->met_event.num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
}

void faults_release(struct faults *faults)
{
        struct seccomp_notif_resp go_on = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

        pthread_mutex_lock(&faults->lock);
        go_on.id = faults->hung;
        ck_assert_int_eq(ioctl(faults->listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on), 0);
        pthread_mutex_unlock(&faults->lock);
}
