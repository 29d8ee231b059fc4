/*
 * One connection being served. The broker puts the first packet into each channel, gives both ends away and keeps a
 * socket that only carries downward, a pipe that only carries packets upward, two pidfds, and the fence. It reads no
 * byte that a front-end or guest wrote; what a session writes is taken for hostile.
 */
#include "serving.h"

#include "array.h"
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
        PARTNER_US = 1000 * 1000, /* the other child may take this long to follow */
        DRAIN_LOG_US = 1000 * 1000,
        REPORTS_MOST = 32, /* packets per wake-up */
        LINES_PER_SECOND = 20,
        LINES_BURST = 60,

        /* Descriptors beside what counts per queue or thread. */
        SESSION_FDS = 64 + VU_MEM_SLOTS + 2 * VU_FDS_MAX,
        WORKER_FDS = 48 + 2 * PACKET_FDS_MAX,
        WORKER_POOL = 32,             /* threads of a pool of the sync engine, or kernel threads per ring */
        WORKER_LOCKED = 1024 * 1024,  /* bytes of ring memory per loop */
};

static const char *const child_names[] = { [SERVING_SESSION] = "session", [SERVING_WORKER] = "worker" };
static const char *const engine_names[] = { "none", "uring", "sync", "null" };

void serving_init(struct serving *serving, struct host *host, const struct broker_log *log,
                  void (*on_free)(void *context), void *context)
{
        *serving = (struct serving){
                .host = host,
                .log = log,
                .on_free = on_free,
                .context = context,
                .child = { { .pidfd = FD_NONE }, { .pidfd = FD_NONE } },
                .control = FD_NONE,
                .reports = FD_NONE,
                .fence = FD_NONE,
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

static void kill_child(struct serving *serving, unsigned which)
{
        const struct fd *pidfd = &serving->child[which].pidfd;

        serving->killed = true;
        if (fd_has(pidfd) && syscall(SYS_pidfd_send_signal, pidfd->num, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
                log_warning(&serving->log->log, "%s %u: cannot be killed: %s", child_names[which], serving->id,
                            log_errno(errno));
}

void serving_kill(struct serving *serving)
{
        kill_child(serving, SERVING_SESSION);
        kill_child(serving, SERVING_WORKER);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

/* The only place that makes a serving free. */
static void become_free(struct serving *serving)
{
        serving->fence_source = sd_event_source_disable_unref(serving->fence_source);
        serving->timer = sd_event_source_disable_unref(serving->timer);
        fd_close(&serving->fence);
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

static void start_timer(struct serving *serving, uint64_t usec, sd_event_time_handler_t handler)
{
        serving->timer = sd_event_source_disable_unref(serving->timer);
        if (sd_event_add_time_relative(serving->host->event, &serving->timer, CLOCK_MONOTONIC, usec, 0, handler,
                                       serving) < 0)
                serving_kill(serving);
}

/* Until the fence has fallen, I/O of the dead worker may still reach the disk or the guest's memory. */
static void drain(struct serving *serving)
{
        struct pollfd fence = { .fd = serving->fence.num };

        if (serving->host->stopping || (poll(&fence, 1, 0) > 0 && fence.revents & POLLHUP)) {
                become_free(serving);
                return;
        }
        serving->state = SERVING_DRAINING;
        start_timer(serving, DRAIN_LOG_US, on_drain_slow);
        if (sd_event_add_io(serving->host->event, &serving->fence_source, serving->fence.num, EPOLLHUP, on_fence,
                            serving) < 0)
                log_error(&serving->log->log, "session %u: its fence cannot be watched: device lost", serving->id);
        host_report(serving->host);
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

static void read_reports(struct serving *serving, unsigned most);

static void close_session_side(struct serving *serving)
{
        if (serving->reports_source)
                read_reports(serving, ~0U); /* its last words; it can add no more */
        serving->reports_source = sd_event_source_disable_unref(serving->reports_source);
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
                start_timer(serving, PARTNER_US, on_partner_late);
        } else {
                serving->timer = sd_event_source_disable_unref(serving->timer);
                drain(serving);
        }
}

static int on_pidfd(sd_event_source *source, int fd, uint32_t events, void *context)
{
        struct serving *serving = context;
        unsigned which = serving->child[SERVING_SESSION].source == source ? SERVING_SESSION : SERVING_WORKER;
        siginfo_t info = { 0 };

        (void) events;
        if (waitid(P_PIDFD, (id_t) fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return 0;
        if (which == SERVING_SESSION)
                close_session_side(serving);
        log_end(serving, which, &info);
        serving->child[which].source = sd_event_source_disable_unref(source);
        fd_close(&serving->child[which].pidfd);
        slots_give_back(&serving->host->slots, serving->child[which].slot);
        on_child_end(serving, which);
        return 0;
}

/* --- what the session reports ------------------------------------------------------------------------------------ */

static long long now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void relay_line(struct serving *serving, struct packet *packet)
{
        struct ipc_log *line = (struct ipc_log *) packet->body;
        size_t n = strnlen(line->text, packet->header.length - offsetof(struct ipc_log, text));
        enum log_level level = line->level >= LOG_LEVEL_ERROR && line->level <= LOG_LEVEL_DEBUG
                                       ? (enum log_level) line->level
                                       : LOG_LEVEL_WARNING;

        if (!log_limit_take(&serving->lines, now_ns(), LINES_PER_SECOND, LINES_BURST))
                return;
        if (serving->lines.dropped) {
                log_warning(&serving->log->log, "session %u: %lu lines dropped", serving->id, serving->lines.dropped);
                serving->lines.dropped = 0;
        }
        log_clean(line->text, n);
        log_at(&serving->log->log, level, "%s %u: %.*s", line->from_worker ? "worker" : "session", serving->id, (int) n,
               line->text);
}

static void note_serving(const struct serving *serving, const struct packet *packet)
{
        struct ipc_serving said;
        uint32_t lacks;

        memcpy(&said, packet->body, sizeof(said));
        lacks = said.lacks | serving->host->privilege.lacks;
        log_info(&serving->log->log, "session %u: serving, engine %s%s%s%s%s", serving->id,
                 said.engine < ARRAY_SIZE(engine_names) ? engine_names[said.engine] : "?",
                 lacks & IPC_LAYER_NAMESPACES ? ", without namespaces" : "",
                 lacks & IPC_LAYER_UIDS ? ", without uids of its own" : "",
                 lacks & IPC_LAYER_LANDLOCK ? ", without landlock" : "",
                 lacks & IPC_LAYER_MDWE ? ", without mdwe" : "");
}

static int take_report(struct serving *serving, struct packet *packet)
{
        int r = ipc_check(&serving->peer, packet);

        if (r < 0)
                return r;
        if (packet->header.type == IPC_LOG)
                relay_line(serving, packet);
        else if (packet->header.type == IPC_SERVING)
                note_serving(serving, packet);
        return 0;
}

static void read_reports(struct serving *serving, unsigned most)
{
        struct packet packet;

        for (unsigned i = 0; i < most; i++) {
                int r = packet_read(serving->reports.num, &packet);

                if (r == -EAGAIN)
                        return;
                if (r == 0)
                        r = take_report(serving, &packet);
                if (r == 0)
                        continue;
                if (r != -ENODATA) {
                        log_warning(&serving->log->log, "session %u: bad packet (type %u, %u bytes): %s: killed",
                                    serving->id, packet.header.type, packet.header.length, log_errno(r));
                        kill_child(serving, SERVING_SESSION);
                }
                serving->reports_source = sd_event_source_disable_unref(serving->reports_source);
                return;
        }
}

static int on_reports(sd_event_source *source, int fd, uint32_t events, void *context)
{
        (void) source;
        (void) fd;
        (void) events;
        read_reports(context, REPORTS_MOST);
        return 0;
}

/* --- the beginning ----------------------------------------------------------------------------------------------- */

/* All that is made for one connection, until it is given to the children. */
struct birth {
        struct fd session_control; /* the session's 0 */
        struct fd session_reports; /* its 1 and 2 */
        struct fd worker_channel;  /* the worker's 0, 1 and 2 */
        struct fd session_channel; /* the other end: goes to the session by packet */
};

static int make_pair(struct fd *ret_first, struct fd *ret_second)
{
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        ret_first->num = pair[0];
        ret_second->num = pair[1];
        return 0;
}

static int make_pipe(int flags, struct fd *ret_read, struct fd *ret_write)
{
        int pair[2];

        if (pipe2(pair, O_CLOEXEC | flags) < 0)
                return -errno;
        ret_read->num = pair[0];
        ret_write->num = pair[1];
        return 0;
}

/* DEVICE is in the worker's channel before anybody else holds its other end: only the broker can have written it. */
static int send_device(struct serving *serving, const struct birth *birth, const struct device_config *config,
                       const struct resource *resource, struct fd fence_write)
{
        struct ipc_device device = {
                .device = config->type->id,
                .queues = config->type->queues_max < config->block.queues ? config->type->queues_max
                                                                          : config->block.queues,
                .threads = config->worker.threads,
                .poll_max_us = config->worker.poll_max_us,
                .features = config->type->features,
                .may_lack = config->may_lack,
                .lacks = serving->host->privilege.lacks,
                .block = resource->block,
        };
        int fds[] = { fence_write.num, resource->disk.num };
        int r = packet_send(birth->session_channel.num, IPC_DEVICE, 0, &device, sizeof(device), fds,
                            fd_has(&resource->disk) ? 2 : 1);

        fd_close(&fence_write);
        return r;
}

/* From here on the connection is in flight, and the session's end of the control socket holds it. */
static int send_connection(struct serving *serving, struct birth *birth, const struct device_config *config,
                           struct fd *connection)
{
        struct ipc_connection opening = {
                .id = serving->id,
                .device = config->type->id,
                .features = config->type->features,
                .protocol_features = config->type->protocol_features,
                .queues = config->type->queues_max,
                .may_lack = config->may_lack,
        };
        int fds[] = { connection->num, birth->session_channel.num };
        int r = packet_send(serving->control.num, IPC_CONNECTION, 0, &opening, sizeof(opening), fds, 2);

        if (r == 0) {
                fd_close(connection);
                fd_close(&birth->session_channel);
        }
        return r;
}

static int prepare(struct serving *serving, struct birth *birth, const struct device_config *config,
                   const struct resource *resource, struct fd *connection)
{
        struct fd fence_write = FD_NONE;
        int r = make_pair(&serving->control, &birth->session_control);

        if (r == 0 && shutdown(serving->control.num, SHUT_RD) < 0)
                r = -errno;
        if (r == 0)
                r = make_pipe(O_DIRECT | O_NONBLOCK, &serving->reports, &birth->session_reports);
        if (r == 0)
                r = make_pair(&birth->session_channel, &birth->worker_channel);
        if (r == 0)
                r = make_pipe(0, &serving->fence, &fence_write);
        if (r == 0)
                r = send_device(serving, birth, config, resource, fd_take(&fence_write));
        if (r == 0)
                r = send_connection(serving, birth, config, connection);
        fd_close(&fence_write);
        return r;
}

static int spawn(struct serving *serving, struct birth *birth, const struct device_config *config,
                 struct spawned *children)
{
        const struct host *host = serving->host;
        bool namespaces = !(host->privilege.lacks & IPC_LAYER_NAMESPACES);
        int reports = birth->session_reports.num, channel = birth->worker_channel.num;
        struct child session = {
                .name = "vhost-session",
                .program = host->programs.session.num,
                .fd = { birth->session_control.num, reports, reports },
                .id = serving->child[SERVING_SESSION].slot,
                .limits = { .nofile = SESSION_FDS + 3 * config->type->queues_max },
                .namespaces = namespaces,
        };
        struct child worker = {
                .name = "vhost-worker",
                .program = host->programs.worker.num,
                .fd = { channel, channel, channel },
                .id = serving->child[SERVING_WORKER].slot,
                .limits = { .nofile = WORKER_FDS + 3 * config->type->queues_max + 4 * config->worker.threads,
                            .nproc = (1 + WORKER_POOL) * config->worker.threads + WORKER_POOL,
                            .memlock = (rlim_t) WORKER_LOCKED * config->worker.threads },
                .affinity = config->worker.pinned ? &config->worker.cpus : NULL,
                .namespaces = namespaces,
        };
        const struct spawn both = {
                .range = fd_has(&host->privilege.range) ? host->privilege.range.num : -1,
                .child = { [SERVING_SESSION] = &session, [SERVING_WORKER] = &worker },
                .n = SERVING_CHILDREN,
                .give = { &birth->session_control, &birth->worker_channel },
                .n_give = 2,
        };
        enum child_stage stage;
        unsigned which;
        int r = spawn_children(&both, children, &stage, &which);

        if (r < 0)
                log_error(&serving->log->log, "session %u: not started: %s: %s: %s", serving->id, child_names[which],
                          child_stage_name(stage), log_errno(r));
        return r;
}

static int watch(struct serving *serving, struct spawned *children)
{
        sd_event *event = serving->host->event;
        int r = sd_event_add_io(event, &serving->reports_source, serving->reports.num, EPOLLIN, on_reports, serving);

        for (unsigned i = 0; i < SERVING_CHILDREN; i++) {
                struct serving_child *child = &serving->child[i];

                child->pidfd = fd_take(&children[i].pidfd);
                if (r >= 0)
                        r = sd_event_add_io(event, &child->source, child->pidfd.num, EPOLLIN, on_pidfd, serving);
        }
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
static void undo(struct serving *serving, struct birth *birth, struct fd connection)
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

int serving_start(struct serving *serving, const struct device_config *config, const struct resource *resource,
                  struct fd connection)
{
        struct birth birth = { FD_NONE, FD_NONE, FD_NONE, FD_NONE };
        struct spawned children[SERVING_CHILDREN];
        int r;

        serving->id = ++serving->host->sessions;
        serving->peer = (struct ipc_peer){ .way = IPC_SESSION_TO_BROKER, .stage = IPC_UP };
        serving->lines = (struct log_limit){ 0 };
        serving->killed = false;
        r = take_slots(serving);
        if (r < 0) {
                log_error(&serving->log->log, "session %u: not started: no uid is free: %s", serving->id, log_errno(r));
                undo(serving, &birth, connection);
                return r;
        }
        r = prepare(serving, &birth, config, resource, &connection);
        if (r < 0)
                log_error(&serving->log->log, "session %u: not started: %s", serving->id, log_errno(r));
        else
                r = spawn(serving, &birth, config, children);
        if (r < 0) {
                slots_give_back(&serving->host->slots, serving->child[SERVING_SESSION].slot);
                slots_give_back(&serving->host->slots, serving->child[SERVING_WORKER].slot);
                undo(serving, &birth, connection);
                return r;
        }
        fd_close(&birth.session_reports);
        serving->state = SERVING_UP;
        log_info(&serving->log->log, "session %u: started", serving->id);
        r = watch(serving, children);
        if (r < 0) {
                log_error(&serving->log->log, "session %u: cannot be watched: %s: killed", serving->id, log_errno(r));
                serving_kill(serving);
        }
        return 0;
}
