/*
 * What all devices of a broker share: reaping, reporting, stopping.
 */
#include "host.h"

#include "device.h"
#include "last_close.h"

#include <sys/epoll.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

enum {
        STOP_KILL_US = 400 * 1000,    /* sessions that were asked to end and did not are killed */
        RETRY_US = 200 * 1000,  /* between two attempts to get a process that closes a connection */
        REPORT_US = 200 * 1000, /* changes of state within this time are reported as one */
        STOP_ACCURACY_US = 10 * 1000, /* or sd_event lets each of the two be 250 ms late */
        STOP_GIVE_UP_US = 300 * 1000, /* what a kill does not end blocks in the kernel: it keeps only itself */
};

static int on_closer_end(sd_event_source *source, int fd, uint32_t events, void *context)
{
        siginfo_t info;

        (void) context;
        (void) events;
        waitid(P_PIDFD, (id_t) fd, &info, WEXITED | WNOHANG);
        sd_event_source_unref(source);
        return 0;
}

int host_reap_later(struct host *host, struct fd pidfd)
{
        sd_event_source *source;
        int r = sd_event_add_io(host->event, &source, pidfd.num, EPOLLIN, on_closer_end, NULL);

        if (r < 0) {
                fd_close(&pidfd);
                return r;
        }
        return sd_event_source_set_io_fd_own(source, 1);
}

static void close_later(struct host *host, struct fd stranger)
{
        if (host->n_strangers == HOST_STRANGERS_MOST)
                return; /* left open: that is better than to block */
        host->stranger[host->n_strangers++] = stranger;
        sd_event_source_set_time_relative(host->stranger_timer, RETRY_US);
        sd_event_source_set_enabled(host->stranger_timer, SD_EVENT_ONESHOT);
}

void host_close_stranger(struct host *host, struct fd stranger)
{
        struct fd pidfd = FD_NONE;
        int r = last_close_elsewhere(&stranger, &pidfd);

        if (fd_has(&pidfd))
                r = host_reap_later(host, pidfd);
        if (fd_has(&stranger)) {
                if (host->n_strangers == 0)
                        log_warning(host->log, "closing a connection in a process of its own: %s: later",
                                    log_errno(r));
                close_later(host, stranger);
        }
}

static int on_retry(sd_event_source *source, uint64_t usec, void *context)
{
        struct host *host = context;
        unsigned n = host->n_strangers;
        struct fd waiting[HOST_STRANGERS_MOST];

        (void) source;
        (void) usec;
        for (unsigned i = 0; i < n; i++)
                waiting[i] = fd_take(&host->stranger[i]);
        host->n_strangers = 0;
        for (unsigned i = 0; i < n; i++)
                host_close_stranger(host, waiting[i]);
        return 0;
}

static int on_report(sd_event_source *source, uint64_t usec, void *context)
{
        struct host *host = context;
        unsigned serving = 0, draining = 0;

        (void) source;
        (void) usec;
        for (unsigned i = 0; i < host->n_devices; i++) {
                serving += host->device[i].serving.state == SERVING_UP;
                draining += host->device[i].serving.state == SERVING_DRAINING;
        }
        sd_notifyf(0, "STATUS=%s%u devices: %u in use, %u draining; %u down", host->stopping ? "stopping; " : "",
                   host->n_devices, serving, draining, host->n_down);
        return 0;
}

/* A storm of connections must not become a storm of messages to PID 1. */
void host_report(struct host *host)
{
        int on = SD_EVENT_ONESHOT;

        if (sd_event_source_get_enabled(host->report_timer, &on) == 0) {
                sd_event_source_set_time_relative(host->report_timer, REPORT_US);
                sd_event_source_set_enabled(host->report_timer, SD_EVENT_ONESHOT);
        }
}

static int on_give_up(sd_event_source *source, uint64_t usec, void *context)
{
        struct host *host = context;

        (void) source;
        (void) usec;
        for (unsigned i = 0; i < host->n_devices; i++)
                if (host->device[i].serving.state != SERVING_FREE)
                        log_warning(&host->device[i].log.log, "%s: left",
                                    host->device[i].serving.state == SERVING_DRAINING
                                            ? "its disk has not ended all I/O"
                                            : "its session does not end, something blocks it");
        return sd_event_exit(host->event, 0);
}

static int on_stop_late(sd_event_source *source, uint64_t usec, void *context)
{
        struct host *host = context;

        (void) source;
        (void) usec;
        for (unsigned i = 0; i < host->n_devices; i++)
                serving_kill(&host->device[i].serving);
        return sd_event_add_time_relative(host->event, NULL, CLOCK_MONOTONIC, STOP_GIVE_UP_US, STOP_ACCURACY_US,
                                          on_give_up, host);
}

static int add_timer(struct host *host, sd_event_time_handler_t handler, sd_event_source **ret_timer)
{
        int r = sd_event_add_time(host->event, ret_timer, CLOCK_MONOTONIC, 0, 0, handler, host);

        return r < 0 ? r : sd_event_source_set_enabled(*ret_timer, SD_EVENT_OFF);
}

int host_prepare(struct host *host)
{
        int r = add_timer(host, on_stop_late, &host->stop_timer);

        if (r >= 0)
                r = add_timer(host, on_report, &host->report_timer);
        return r < 0 ? r : add_timer(host, on_retry, &host->stranger_timer);
}

void host_look(struct host *host)
{
        for (unsigned i = 0; i < host->n_devices && !host->stopping; i++)
                device_look(&host->device[i]);
}

void host_stop(struct host *host)
{
        bool busy = false;

        if (!host->stopping) {
                host->stopping = true;
                sd_notify(0, "STOPPING=1");
                for (unsigned i = 0; i < host->n_devices; i++)
                        device_stop(&host->device[i]);
                sd_event_source_set_time_accuracy(host->stop_timer, STOP_ACCURACY_US);
                sd_event_source_set_time_relative(host->stop_timer, STOP_KILL_US);
                sd_event_source_set_enabled(host->stop_timer, SD_EVENT_ONESHOT);
        }
        for (unsigned i = 0; i < host->n_devices; i++)
                busy |= host->device[i].serving.state != SERVING_FREE;
        if (!busy) /* a disk that still does I/O is also still locked: the next broker could not have it */
                sd_event_exit(host->event, 0);
}
