/*
 * Devices that are down.
 */
#include "down.h"

#include "host.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { REFUSALS_PER_SECOND = 10 }; /* each costs a process that closes the connection; the rest waits in the backlog */

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *context)
{
        struct down *down = context;
        struct fd connection;

        (void) source;
        (void) events;
        if (down->host->n_strangers > 0)
                return 0;
        connection.num = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (!fd_has(&connection))
                return 0;
        log_notice(down->host->log, "%s: connection refused: the device is down since the start", down->name);
        host_close_stranger(down->host, connection);
        return 0;
}

int down_start(struct down *down, struct host *host)
{
        int r;

        down->host = host;
        if (!fd_has(&down->listener.socket))
                return 0;
        r = sd_event_add_io(host->event, &down->source, down->listener.socket.num, EPOLLIN, on_connect, down);
        return r < 0 ? r : sd_event_source_set_ratelimit(down->source, 1000 * 1000, REFUSALS_PER_SECOND);
}

void down_done(struct down *down)
{
        down->source = sd_event_source_disable_unref(down->source);
        listener_leave(&down->listener);
}
