/*
 * One connection being served: its state, and how it ends. Session and worker end together, and the device is free
 * again only when nothing of them is left: no process, and no I/O that the kernel still does for them.
 */
#include "serving_internal.h"

#include "host.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
        PARTNER_US = 1000 * 1000, /* the other child may take this long to follow */
        DRAIN_LOG_US = 1000 * 1000,
        AGAIN_US = 100 * 1000,
        LAST_WORDS = 64, /* packets of a session that has ended */
};

static const char *const child_names[] = { [SERVING_SESSION] = "session", [SERVING_WORKER] = "worker" };

const char *serving_child_name(unsigned which)
{
        return child_names[which];
}

void serving_init(struct serving *serving, struct host *host, const struct broker_log *log,
                  void (*on_free)(void *context), void *context)
{
        *serving = (struct serving){
                .host = host,
                .log = log,
                .on_free = on_free,
                .context = context,
                .cgroup = -1,
                .statistics = -1,
                .child = { { .pidfd = FD_NONE }, { .pidfd = FD_NONE } },
                .control = FD_NONE,
                .reports = FD_NONE,
                .fence = FD_NONE,
                .spawning = { .report = FD_NONE, .go = FD_NONE },
        };
}

bool serving_has_children(const struct serving *serving)
{
        return fd_has(&serving->child[SERVING_SESSION].pidfd) || fd_has(&serving->child[SERVING_WORKER].pidfd);
}

void serving_ask_end(struct serving *serving)
{
        fd_close(&serving->control);
}

void serving_kill_child(struct serving *serving, unsigned which)
{
        const struct fd *pidfd = &serving->child[which].pidfd;

        serving->killed = true;
        if (fd_has(pidfd) && syscall(SYS_pidfd_send_signal, pidfd->num, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
                log_warning(&serving->log->log, "%s %u: cannot be killed: %s", child_names[which], serving->id,
                            log_errno(errno));
}

void serving_kill(struct serving *serving)
{
        if (serving->state == SERVING_STARTING) {
                serving_cancel_start(serving);
                return;
        }
        serving_kill_child(serving, SERVING_SESSION);
        serving_kill_child(serving, SERVING_WORKER);
}

/* The only place that makes a serving free. */
static void become_free(struct serving *serving)
{
        serving->fence_source = sd_event_source_disable_unref(serving->fence_source);
        serving->timer = sd_event_source_disable_unref(serving->timer);
        fd_close(&serving->fence);
        serving->ready = false;
        serving->state = SERVING_FREE;
        serving->on_free(serving->context);
}

static int on_fence(sd_event_source *source, int fd, uint32_t events, void *context)
{
        (void) source;
        (void) fd;
        if (events & (EPOLLHUP | EPOLLERR))
                become_free(context);
        return 0;
}

static int on_drain_slow(sd_event_source *source, uint64_t usec, void *context)
{
        struct serving *serving = context;

        (void) source;
        (void) usec;
        log_notice(&serving->log->log, "session %u: draining: I/O that its worker submitted has not ended",
                   serving->id);
        return 0;
}

void serving_timer(struct serving *serving, uint64_t usec, sd_event_time_handler_t handler)
{
        serving->timer = sd_event_source_disable_unref(serving->timer);
        if (sd_event_add_time_relative(serving->host->event, &serving->timer, CLOCK_MONOTONIC, usec, 0, handler,
                                       serving) < 0)
                serving_kill(serving);
}

static int on_look_again(sd_event_source *source, uint64_t usec, void *context);

/* Until the fence has fallen, I/O of the dead worker may still reach the disk or the guest's memory. */
static void drain(struct serving *serving)
{
        struct pollfd fence = { .fd = serving->fence.num };
        bool first = serving->state != SERVING_DRAINING;

        if (poll(&fence, 1, 0) > 0 && fence.revents & POLLHUP) {
                become_free(serving);
                return;
        }
        serving->state = SERVING_DRAINING;
        serving_timer(serving, DRAIN_LOG_US, on_drain_slow);
        if (sd_event_add_io(serving->host->event, &serving->fence_source, serving->fence.num, EPOLLHUP, on_fence,
                            serving) < 0) {
                if (first)
                        log_warning(&serving->log->log, "session %u: its fence cannot be watched: looked at again and again",
                                    serving->id);
                serving_timer(serving, AGAIN_US, on_look_again); /* no memory, no watches left: until there is */
        }
        host_report(serving->host);
}

static int on_look_again(sd_event_source *source, uint64_t usec, void *context)
{
        (void) source;
        (void) usec;
        drain(context);
        return 0;
}

static int on_partner_late(sd_event_source *source, uint64_t usec, void *context)
{
        struct serving *serving = context;

        (void) source;
        (void) usec;
        log_warning(&serving->log->log, "session %u: does not end by itself: killed", serving->id);
        serving_kill(serving);
        return 0;
}

static void log_end(const struct serving *serving, unsigned which, const siginfo_t *info)
{
        const struct log *log = &serving->log->log;

        if (info->si_code != CLD_EXITED && info->si_status == SIGKILL && serving->killed)
                log_info(log, "%s %u: ended by the broker's kill", child_names[which], serving->id);
        else if (info->si_code != CLD_EXITED)
                log_warning(log, "%s %u: ended by signal %d (%s)%s", child_names[which], serving->id, info->si_status,
                            sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?",
                            info->si_status == SIGSYS ? ": it called what its policy forbids" : "");
        else if (info->si_status)
                log_warning(log, "%s %u: ended with status %d", child_names[which], serving->id, info->si_status);
        else
                log_info(log, "%s %u: ended", child_names[which], serving->id);
}

static void close_session_side(struct serving *serving)
{
        if (serving->reports_source)
                serving_read_reports(serving, LAST_WORDS); /* no more: somebody else may hold the pipe and go on */
        serving->reports_source = sd_event_source_disable_unref(serving->reports_source);
        pause_done(&serving->reports_pause);
        fd_close(&serving->reports);
        fd_close(&serving->control);
}

/* Session and worker end together: whichever was first, the other follows or is made to. */
static void on_child_end(struct serving *serving, unsigned which)
{
        if (which == SERVING_SESSION)
                close_session_side(serving);
        else
                serving_ask_end(serving);
        if (serving_has_children(serving)) {
                serving->state = SERVING_ENDING;
                serving_timer(serving, PARTNER_US, on_partner_late);
        } else {
                serving->timer = sd_event_source_disable_unref(serving->timer);
                drain(serving);
        }
}

void serving_end_start(struct serving *serving)
{
        for (unsigned i = 0; i < SERVING_CHILDREN; i++) {
                if (fd_has(&serving->child[i].pidfd))
                        serving_kill_child(serving, i);
                else
                        slots_give_back(&serving->host->slots, serving->child[i].slot);
        }
        close_session_side(serving);
        serving->state = SERVING_ENDING;
        if (!serving_has_children(serving))
                drain(serving);
}

int serving_on_pidfd(sd_event_source *source, int fd, uint32_t events, void *context)
{
        struct serving *serving = context;
        unsigned which = serving->child[SERVING_SESSION].source == source ? SERVING_SESSION : SERVING_WORKER;
        siginfo_t info = { 0 };

        (void) events;
        if (waitid(P_PIDFD, (id_t) fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return 0;
        if (which == SERVING_SESSION)
                close_session_side(serving);
        if (!serving->error)
                log_end(serving, which, &info);
        serving->child[which].source = sd_event_source_disable_unref(source);
        fd_close(&serving->child[which].pidfd);
        if (serving->state == SERVING_STARTING)
                return 0; /* the other one is not known yet: serving_end_start() is to come */
        slots_give_back(&serving->host->slots, serving->child[which].slot);
        on_child_end(serving, which);
        return 0;
}
