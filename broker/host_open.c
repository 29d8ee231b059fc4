/*
 * Opening disks, sockets and cgroups. With a directory of device files a device that cannot be opened is down, alone:
 * a mistake in one file must not cost the others their disks.
 */
#include "host_open.h"

#include "affinity.h"
#include "cgroup.h"
#include "clock_now.h"
#include "control.h"
#include "device.h"
#include "down.h"
#include "process_limits.h"
#include "statistics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* For all disks together: the sound devices wait as well, and what a killed broker left ends everywhere at once. */
enum { LOCK_WAIT_MS = 2000 };

static int find_socket(struct device *device, const struct options *options, struct listen_passed *passed,
                       const struct log *log)
{
        int r;

        if (options->fd >= 0)
                return listen_on_fd(options->fd, log, &device->listener);
        r = listen_find_passed(passed, device->config->name, options->alone || options->device, &device->listener);
        if (r == 0 && device->config->connect) {
                log_notice(log, "%s: Connect= is set: the socket passed under its name is not used",
                           device->config->name);
                listener_done(&device->listener);
                return 0;
        }
        if (r != -ENOENT) {
                if (r < 0)
                        log_error(log, "%s: the socket passed under its name: not a listening UNIX stream socket: %s",
                                  device->config->name, log_errno(r));
                return r;
        }
        if (device->config->connect)
                return 0;
        if (!device->config->socket) {
                log_error(log, "%s: systemd passed %d sockets, none of that name: ENOENT", device->config->name,
                          passed->n);
                return r;
        }
        return listen_on_path(device->config->socket, device->config->where[CONFIG_SOCKET], log, &device->listener);
}

static int make_statistics(const struct device_config *config, const struct log *log, struct fd *ret_file)
{
        int r = statistics_make(config->name, config->worker.threads, ret_file);

        if (r < 0)
                log_error(log, "%s: a memory file for its statistics: %s", config->name, log_errno(r));
        return r;
}

static int open_device(struct device *device, const struct options *options, long long until,
                       struct listen_passed *passed, const struct log *log)
{
        const struct device_config *config = device->config;
        int r = affinity_check(config, log);

        if (r >= 0)
                r = make_statistics(config, log, &device->statistics);
        if (r >= 0)
                r = resource_open(config, log, until, &device->resource);
        if (r >= 0)
                r = find_socket(device, options, passed, log);
        if (r >= 0 && options->cgroup)
                r = cgroup_make(options->cgroup, config->name, LIMITS_SESSION_TASKS + limits_worker_tasks(config), log,
                                &device->cgroup);
        return r;
}

/* The socket, if there is one, is kept: systemd would go on to listen, and nobody would answer. */
static void put_down(struct host *host, const char *name, struct listener *listener, struct listen_passed *passed)
{
        struct down *down = &host->down[host->n_down++];

        *down = (struct down){ .listener = *listener };
        listener->socket = FD_NONE;
        listener->unlink = NULL;
        snprintf(down->name, sizeof(down->name), "%s", name);
        if (!fd_has(&down->listener.socket))
                (void) listen_find_passed(passed, name, false, &down->listener);
        log_error(host->log, "%s: the device is down", name);
}

static int open_devices(struct host *host, const struct options *options, const struct config *config,
                        struct listen_passed *passed)
{
        long long until = clock_now_ns() + LOCK_WAIT_MS * 1000000LL;
        bool only = options->alone || options->device;
        int r = 0;

        for (unsigned i = 0; i < config->n; i++) {
                struct device *device = &host->device[host->n_devices];

                *device = (struct device){ .config = &config->device[i], .cgroup = FD_NONE };
                device->resource.disk = device->resource.userfault = device->statistics = device->net = FD_NONE;
                device->listener.socket = FD_NONE;
                broker_log_init(&device->log, device->config->name, options->log_level);
                host->n_devices++;
                r = open_device(device, options, until, passed, host->log);
                if (r >= 0)
                        continue;
                if (only)
                        return r;
                put_down(host, device->config->name, &device->listener, passed);
                device_done(device);
                host->n_devices--;
        }
        return host->n_devices ? 0 : r;
}

int host_open(struct host *host, struct control *control, const struct options *options, const struct config *config)
{
        struct listener none = { .socket = FD_NONE };
        struct listen_passed passed = { 0 };
        int r = options->cgroup ? cgroup_take_over(options->cgroup, host->log) : 0;

        if (r >= 0)
                r = listen_take_passed(host->log, &passed);
        if (r >= 0)
                r = control_open(control, options, &passed, host->log);
        if (r < 0)
                return r;
        host->device = calloc(config->n + 1, sizeof(*host->device));
        host->down = calloc(config->n + config->n_broken + 1, sizeof(*host->down));
        r = host->device && host->down ? open_devices(host, options, config, &passed) : -ENOMEM;
        for (unsigned i = 0; r >= 0 && i < config->n_broken; i++)
                put_down(host, config->broken[i], &none, &passed);
        listen_passed_done(&passed);
        return r;
}
