/*
 * How a connection comes to be served. The broker puts the first packet into each channel, gives both ends away and
 * keeps a socket that only carries downward, a pipe that only carries packets upward, two pidfds, and the fence.
 */
#include "serving_internal.h"

#include "host.h"
#include "virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int serving_make_pair(int type, struct fd *ret_first, struct fd *ret_second)
{
        int pair[2];

        if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        ret_first->num = pair[0];
        ret_second->num = pair[1];
        return 0;
}

int serving_make_pipe(int flags, struct fd *ret_read, struct fd *ret_write)
{
        int pair[2];

        if (pipe2(pair, O_CLOEXEC | flags) < 0)
                return -errno;
        ret_read->num = pair[0];
        ret_write->num = pair[1];
        return 0;
}

/* A front-end without an IOMMU may pass ACCESS_PLATFORM on to its guest, and never answer our questions. */
uint64_t serving_offered(const struct device_config *config)
{
        return config->iommu ? config->type->features
                             : config->type->features & ~VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
}

uint64_t serving_protocol_offered(const struct device_config *config)
{
        return config->type->protocol_features & ~(config->inband ? 0 : VIRTIO_BIT(VU_PF_INBAND_NOTIFICATIONS)) &
               ~(config->postcopy ? 0 : VIRTIO_BIT(VU_PF_PAGEFAULT));
}

uint32_t serving_queues(const struct device_config *config)
{
        return config->type->queues_max < config->block.queues ? config->type->queues_max : config->block.queues;
}

struct ipc_device serving_device(const struct host *host, const struct device_config *config,
                                 const struct resource *resource)
{
        return (struct ipc_device){
                .device = config->type->id,
                .queues = serving_queues(config),
                .threads = config->worker.threads,
                .poll_max_us = config->worker.poll_max_us,
                .queue_size = config->queue_size,
                .postcopy = config->postcopy,
                .features = serving_offered(config),
                .may_lack = config->may_lack,
                .lacks = host->privilege.lacks,
                .block = resource->block,
        };
}

struct ipc_connection serving_connection(uint32_t id, const struct device_config *config)
{
        return (struct ipc_connection){
                .id = id,
                .device = config->type->id,
                .features = serving_offered(config),
                .protocol_features = serving_protocol_offered(config),
                .queues = config->type->queues_max,
                .may_lack = config->may_lack,
                .queue_size = config->queue_size,
                .limits = config->limits.session,
        };
}

/* DEVICE is in the worker's channel before anybody else holds its other end: only the broker can have written it. */
static int send_device(struct serving *serving, const struct serving_birth *birth, const struct device_config *config,
                       struct fd fence_write)
{
        const struct resource *resource = serving->resource;
        struct ipc_device device = serving_device(serving->host, config, resource);
        int fds[4] = { fence_write.num, serving->statistics };
        unsigned n_fds = 2;
        int r = 0;

        if (fd_has(&resource->disk))
                fds[n_fds++] = resource->disk.num;
        if (config->postcopy)
                fds[n_fds++] = resource->userfault.num;

        /* All workers share one open file: the next one must not find what the last one made of its flags. */
        if (fd_has(&resource->disk) && fcntl(resource->disk.num, F_SETFL, resource->flags) < 0)
                r = -errno;
        if (r == 0)
                r = packet_send(birth->session_channel.num, IPC_DEVICE, 0, &device, sizeof(device), fds, n_fds);

        fd_close(&fence_write);
        return r;
}

/* From here on the connection is in flight, and the session's end of the control socket holds it. */
static int send_connection(struct serving *serving, struct serving_birth *birth, const struct device_config *config,
                           struct fd *connection)
{
        struct ipc_connection opening = serving_connection(serving->id, config);
        int fds[] = { connection->num, birth->session_channel.num };
        int r = packet_send(serving->control.num, IPC_CONNECTION, 0, &opening, sizeof(opening), fds, 2);

        if (r == 0) {
                fd_close(connection);
                fd_close(&birth->session_channel);
        }
        return r;
}

static int prepare(struct serving *serving, struct serving_birth *birth, const struct device_config *config,
                   struct fd *connection)
{
        struct fd fence_write = FD_NONE;
        int r = serving_make_pair(SOCK_SEQPACKET, &serving->control, &birth->session_control);

        if (r == 0 && shutdown(serving->control.num, SHUT_RD) < 0)
                r = -errno;
        if (r == 0)
                r = serving_make_pipe(O_DIRECT | O_NONBLOCK, &serving->reports, &birth->session_reports);
        if (r == 0)
                r = serving_make_pair(SOCK_SEQPACKET, &birth->session_channel, &birth->worker_channel);
        if (r == 0)
                r = serving_make_pipe(0, &serving->fence, &fence_write);
        if (r == 0)
                r = send_device(serving, birth, config, fd_take(&fence_write));
        if (r == 0)
                r = send_connection(serving, birth, config, connection);
        fd_close(&fence_write);
        return r;
}

static int take_slots(struct serving *serving)
{
        struct slots *slots = &serving->host->slots;
        int r = slots_take(slots, &serving->child[SERVING_SESSION].slot);

        if (r < 0)
                return r;
        r = slots_take(slots, &serving->child[SERVING_WORKER].slot);
        if (r < 0)
                slots_give_back(slots, serving->child[SERVING_SESSION].slot);
        return r;
}

/* Nothing is left of a connection that could not be served, except what only a process of its own may close. */
static void undo(struct serving *serving, struct serving_birth *birth, struct fd connection)
{
        if (fd_has(&connection))
                host_close_stranger(serving->host, connection);
        if (fd_has(&birth->session_control))
                host_close_stranger(serving->host, fd_take(&birth->session_control));
        fd_close(&birth->session_reports);
        fd_close(&birth->worker_channel);
        fd_close(&birth->session_channel);
        fd_close(&serving->control);
        fd_close(&serving->reports);
        fd_close(&serving->fence);
}

static void give_slots_back(struct serving *serving)
{
        for (unsigned i = 0; i < SERVING_CHILDREN; i++)
                slots_give_back(&serving->host->slots, serving->child[i].slot);
}

static void begin_anew(struct serving *serving, const struct device_config *config)
{
        serving->id = ++serving->host->sessions;
        serving->peer = (struct ipc_peer){ .way = IPC_SESSION_TO_BROKER, .stage = IPC_UP };
        serving->lines = serving->packets = (struct log_limit){ 0 };
        serving->killed = serving->ready = serving->resized = false;
        serving->error = 0;
        serving->lines_per_s = config->limits.session.log_per_s;
}

int serving_start(struct serving *serving, const struct device_config *config, struct fd connection)
{
        struct serving_birth birth = { FD_NONE, FD_NONE, FD_NONE, FD_NONE };
        const char *what = "making a process";
        int r;

        begin_anew(serving, config);
        r = take_slots(serving);
        if (r < 0) {
                log_error(&serving->log->log, "session %u: not started: no uid is free: %s", serving->id, log_errno(r));
                undo(serving, &birth, connection);
                return r;
        }
        r = prepare(serving, &birth, config, &connection);
        if (r < 0)
                what = "its channels";
        else
                r = serving_spawn(serving, &birth, config);
        if (r < 0) {
                log_error(&serving->log->log, "session %u: not started: %s: %s", serving->id, what, log_errno(r));
                give_slots_back(serving);
                undo(serving, &birth, connection);
                return r;
        }
        fd_close(&birth.session_reports);
        return 0;
}
