/*
 * Connecting to front-ends that listen. What lies at the path is the operator's business; who listens there is asked
 * of the kernel and judged like somebody who has connected to us. One timer, and nothing is watched.
 */
#include "outward.h"

#include "host.h"
#include "listen.h"
#include "peer.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_US = 500 * 1000 };

/* It has not come yet, or is busy with another connection: all the same to who waits. */
static bool nobody_listens(int error)
{
        return error == -ENOENT || error == -ECONNREFUSED || error == -EAGAIN;
}

/* One line per change of the reason, however often it is tried. */
static void say_why(struct outward *outward, int error)
{
        const char *path = outward->config->connect;

        error = nobody_listens(error) ? -ECONNREFUSED : error;
        if (outward->said == error)
                return;
        outward->said = error;
        if (nobody_listens(error))
                log_info(outward->log, "waiting for a front-end that listens at %s", path);
        else if (error == -EACCES)
                log_error(outward->log,
                          "%s: the broker runs as uid %u, gid %u, which needs write access to this socket "
                          "and search access to each directory above it: EACCES",
                          path, (unsigned) geteuid(), (unsigned) getegid());
        else
                log_error(outward->log, "%s: can't be connected to: %s", path, log_errno(error));
}

static void refuse(struct outward *outward, const struct peer *peer, int error, struct fd connection)
{
        if (outward->said != -EPERM)
                log_error(outward->log, "%s: uid %u gid %u listens there and may not: %s", outward->config->connect,
                          (unsigned) peer->uid, (unsigned) peer->gid, log_errno(error));
        outward->said = -EPERM;
        host_close_stranger(outward->host, connection);
}

/* 0: connected, and given away. */
static int try(struct outward *outward)
{
        struct fd connection;
        struct peer peer;
        int r;

        if (outward->host->n_strangers)
                return -EBUSY;
        r = listen_connect_out(outward->config->connect, &connection);
        if (r < 0) {
                say_why(outward, r);
                return r;
        }
        r = peer_of(connection.num, &peer);
        if (r == 0)
                r = peer_allowed(&peer, connection.num, outward->config);
        if (r < 0) {
                refuse(outward, &peer, r, connection);
                return r;
        }
        outward->said = 0;
        outward->on_connected(outward->context, connection);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
        struct outward *outward = context;

        (void) source;
        (void) usec;
        sd_event_now(outward->host->event, CLOCK_MONOTONIC, &outward->tried_us);
        if (try(outward) < 0)
                outward_next(outward);
        return 0;
}

int outward_start(struct outward *outward, struct host *host, const struct device_config *config, const struct log *log,
                  void (*on_connected)(void *context, struct fd connection), void *context)
{
        *outward = (struct outward){ .host = host, .config = config, .log = log, .on_connected = on_connected,
                                     .context = context };
        return sd_event_add_time(host->event, &outward->timer, CLOCK_MONOTONIC, 0, 0, on_timer, outward);
}

void outward_next(struct outward *outward)
{
        if (!outward->timer)
                return;
        sd_event_source_set_time(outward->timer, outward->tried_us + RETRY_US);
        sd_event_source_set_enabled(outward->timer, SD_EVENT_ONESHOT);
}

void outward_stop(struct outward *outward)
{
        outward->timer = sd_event_source_disable_unref(outward->timer);
}
