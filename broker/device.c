/*
 * A device: who may connect, and what happens to a connection that comes too early. A front-end that reconnects may
 * overtake the end of its own old connection, so one connection is held until the device is free.
 */
#include "device.h"

#include "clock_now.h"
#include "host.h"
#include "peer.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum {
        ACCEPTS_MOST = 4, /* per wake-up, so that a storm on one socket leaves time for the others */
        PAUSE_US = 100 * 1000, /* what comes meanwhile waits in the socket's backlog */
        REFUSALS_PER_SECOND = 2,
        REFUSALS_BURST = 10,
};

/* Anybody whom the socket's file lets in can cause these lines, so there is a limit to them. */
static void __attribute__((format(printf, 2, 3))) log_refusal(struct device *device, const char *format, ...)
{
        va_list arguments;

        if (!log_limit_take(&device->refusals, clock_now_ns(), REFUSALS_PER_SECOND, REFUSALS_BURST))
                return;
        if (device->refusals.dropped)
                log_notice(&device->log.log, "%lu more connections refused", device->refusals.dropped);
        device->refusals.dropped = 0;
        va_start(arguments, format);
        log_at_v(&device->log.log, LOG_LEVEL_NOTICE, format, arguments);
        va_end(arguments);
}

/* Takes the connection that waits, and stops watching it. */
static struct fd take_held(struct device *device)
{
        device->held_timer = sd_event_source_disable_unref(device->held_timer);
        device->held_source = sd_event_source_disable_unref(device->held_source);
        return fd_take(&device->held);
}

static void release_held(struct device *device)
{
        if (fd_has(&device->held))
                host_close_stranger(device->host, take_held(device));
}

static void serve(struct device *device, struct fd connection)
{
        int r = serving_start(&device->serving, device->config, connection);

        if (r < 0 && device->listener.connected)
                sd_event_exit(device->host->event, r);
        else if (r < 0 && device->config->connect)
                outward_next(&device->outward);
        host_report(device->host);
}

static void on_free(void *context)
{
        struct device *device = context;

        host_report(device->host);
        if (device->host->stopping) {
                host_stop(device->host);
        } else if (fd_has(&device->held)) {
                serve(device, take_held(device));
        } else if (device->config->connect) {
                outward_next(&device->outward);
        } else if (device->listener.connected) {
                /* --fd was a connection, and it has ended */
                sd_event_exit(device->host->event, device->serving.error);
        }
}

static uint64_t hold_us(const struct device *device)
{
        return UINT64_C(1000) * device->config->limits.hold_ms;
}

/* Draining has no time-out of its own: it is the disk that is waited for, not the old session. */
static int on_held_too_long(sd_event_source *source, uint64_t usec, void *context)
{
        struct device *device = context;

        if (device->serving.state == SERVING_DRAINING)
                return sd_event_source_set_time(source, usec + hold_us(device)) < 0
                               ? 0
                               : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        log_refusal(device, "connection refused: session %u still has the device: EBUSY", device->serving.id);
        release_held(device);
        return 0;
}

/* Who has hung up gives its place to the next one. */
static int on_held_gone(sd_event_source *source, int fd, uint32_t events, void *context)
{
        (void) source;
        (void) fd;
        (void) events;
        release_held(context);
        return 0;
}

static void hold(struct device *device, struct fd connection)
{
        if (fd_has(&device->held)) {
                log_refusal(device, "connection refused: one already waits for session %u to end: EBUSY",
                            device->serving.id);
                host_close_stranger(device->host, connection);
                return;
        }
        device->held = connection;
        if (sd_event_add_time_relative(device->host->event, &device->held_timer, CLOCK_MONOTONIC, hold_us(device), 0,
                                       on_held_too_long, device) < 0 ||
            sd_event_add_io(device->host->event, &device->held_source, connection.num, EPOLLHUP, on_held_gone,
                            device) < 0)
                release_held(device);
}

static void admit(struct device *device, struct fd connection)
{
        struct peer peer;
        int r = peer_of(connection.num, &peer);

        if (r == 0)
                r = peer_allowed(&peer, connection.num, device->config);
        if (r < 0) {
                log_refusal(device, "connection refused: uid %u gid %u may not: %s", (unsigned) peer.uid,
                            (unsigned) peer.gid, log_errno(r));
                host_close_stranger(device->host, connection);
                if (device->listener.connected) /* --fd: there will be no other */
                        sd_event_exit(device->host->event, r);
        } else if (device->serving.state == SERVING_FREE) {
                serve(device, connection);
        } else {
                hold(device, connection);
        }
}

static bool may_accept(struct device *device)
{
        const unsigned per_s = device->config->limits.connections_per_s;

        return device->host->n_strangers == 0 &&
               log_limit_take(&device->accepts, clock_now_ns(), per_s, 2 * per_s);
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *context)
{
        struct device *device = context;

        (void) source;
        (void) events;
        for (int i = 0; i < ACCEPTS_MOST; i++) {
                struct fd connection;

                if (!may_accept(device)) {
                        pause_source(&device->accept_pause, &device->listen_source, PAUSE_US);
                        break;
                }
                connection.num = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd_has(&connection)) {
                        admit(device, connection);
                        continue;
                }
                device->accepts.tokens += 1; /* nobody was there */
                if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                        log_refusal(device, "accept: %s", log_errno(errno));
                        pause_source(&device->accept_pause, &device->listen_source, PAUSE_US);
                }
                break;
        }
        return 0;
}

static void on_outward(void *context, struct fd connection)
{
        serve(context, connection);
}

int device_start(struct device *device, struct host *host)
{
        device->host = host;
        device->held = FD_NONE;
        serving_init(&device->serving, host, &device->log, on_free, device);
        device->serving.cgroup = device->cgroup.num;
        device->serving.statistics = device->statistics.num;
        device->serving.net = &device->net;
        device->serving.resource = &device->resource;
        if (device->config->connect)
                return outward_start(&device->outward, host, device->config, &device->log.log, on_outward, device);
        if (device->listener.connected) {
                struct fd connection = fd_take(&device->listener.socket);
                int r = fd_nonblock(connection.num, true);

                if (r < 0)
                        return r;
                admit(device, connection);
                return 0;
        }
        return sd_event_add_io(host->event, &device->listen_source, device->listener.socket.num, EPOLLIN, on_connect,
                               device);
}

void device_look(struct device *device)
{
        uint64_t before = device->resource.block.capacity;
        int r = resource_measure(&device->resource);

        if (r < 0)
                log_error(&device->log.log, "%s: %s: the size that the guest knows stays", device->config->block.path,
                          r == -EINVAL ? "less than a block is left" : log_errno(r));
        if (r <= 0)
                return;
        log_notice(&device->log.log, "%s: %llu bytes now, %llu before", device->config->block.path,
                   (unsigned long long) device->resource.block.capacity, (unsigned long long) before);
        serving_resize(&device->serving);
}

void device_stop(struct device *device)
{
        device->listen_source = sd_event_source_disable_unref(device->listen_source);
        pause_done(&device->accept_pause);
        outward_stop(&device->outward);
        release_held(device);
        serving_ask_end(&device->serving);
}

void device_done(struct device *device)
{
        device->listen_source = sd_event_source_disable_unref(device->listen_source);
        outward_stop(&device->outward);
        listener_leave(&device->listener);
        resource_done(&device->resource);
        fd_close(&device->statistics);
        fd_close(&device->net);
        fd_close(&device->cgroup);
}
