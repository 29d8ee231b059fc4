/*
 * From a forked stage to a session and a worker that run their programs. Nothing here waits: a child that hangs before
 * its program runs holds up its own device, and no longer than PATIENCE_US.
 */
#include "serving_internal.h"

#include "host.h"
#include "process_limits.h"

#include <errno.h>
#include <sys/epoll.h>

enum {
        PATIENCE_US = 5 * 1000 * 1000, /* for our own code before exec; far beyond what a loaded host needs */
        AGAIN_US = 100 * 1000,
};

static void adopt(struct serving *serving);

rlim_t serving_worker_fsize(const struct resource *resource)
{
        return fd_has(&resource->disk) && !resource->bytes ? RLIM_INFINITY : resource->bytes;
}

static int on_again(sd_event_source *source, uint64_t usec, void *context);

/*
 * Whatever was born is killed, and reaped like all others. Who is born while we do so is noted before he runs: only the
 * pipe's end means that there is nobody else.
 */
static void end(struct serving *serving)
{
        struct spawning *spawning = &serving->spawning;
        bool all = !fd_has(&spawning->report) || spawn_hear(spawning);

        spawn_kill(spawning);
        if (all)
                adopt(serving);
        else
                serving_timer(serving, AGAIN_US, on_again);
}

static void give_up(struct serving *serving, int error)
{
        const struct spawning *spawning = &serving->spawning;
        const struct log *log = &serving->log->log;

        if (serving->error < 0)
                return; /* it is being done */
        serving->error = error;
        if (error == spawning->error)
                log_error(log, "session %u: not started: %s: %s: %s", serving->id, serving_child_name(spawning->which),
                          child_stage_name(spawning->failed), log_errno(error));
        else if (error == -ETIMEDOUT)
                log_error(log, "session %u: not started: confining it hangs: %s: %s", serving->id,
                          child_stage_name(spawn_stands_at(spawning)), log_errno(error));
        else
                log_error(log, "session %u: not started: %s", serving->id, log_errno(error));
        end(serving);
}

void serving_cancel_start(struct serving *serving)
{
        give_up(serving, -ECANCELED);
}

static int on_again(sd_event_source *source, uint64_t usec, void *context)
{
        (void) source;
        (void) usec;
        end(context);
        return 0;
}

/* From here on a child is known by its pidfd. One that was not born has none. */
static int adopt_child(struct serving *serving, unsigned which)
{
        struct serving_child *child = &serving->child[which];
        int r = 0;

        if (!fd_has(&child->pidfd))
                r = spawn_take(&serving->spawning, which, &child->pid, &child->pidfd);
        if (r == 0 && fd_has(&child->pidfd) && !child->source)
                r = sd_event_add_io(serving->host->event, &child->source, child->pidfd.num, EPOLLIN,
                                    serving_on_pidfd, serving);
        return r < 0 ? r : 0;
}

/*
 * Kept for the device's next session: to make one, and to take it down, costs the whole host more than all else of a
 * start, and a front-end that connects again and again must not be able to ask for it. Nothing can have been done in
 * it: neither program may.
 */
static void keep_net(struct serving *serving)
{
        const struct spawning *spawning = &serving->spawning;
        int r;

        if (serving->error || fd_has(serving->net) || !fd_has(&serving->host->privilege.range))
                return;
        for (unsigned i = 0; i < SERVING_CHILDREN; i++)
                if (spawning->pid[i] <= 0)
                        return; /* something ended the stage too early, and will be told */
        r = spawn_open_net(spawning, serving->net);
        if (r < 0)
                log_warning(&serving->log->log, "session %u: its net namespace cannot be kept for the next: %s",
                            serving->id, log_errno(r));
}

static int adopt_all(struct serving *serving)
{
        struct fd stage;
        int r = spawn_end_stage(&serving->spawning, &stage);

        if (fd_has(&stage) && host_reap_later(serving->host, stage) < 0)
                log_warning(&serving->log->log, "session %u: the process that made it cannot be reaped", serving->id);
        for (unsigned i = 0; r == 0 && i < SERVING_CHILDREN; i++)
                r = adopt_child(serving, i);
        return r;
}

static void be_up(struct serving *serving)
{
        int r = sd_event_add_io(serving->host->event, &serving->reports_source, serving->reports.num, EPOLLIN,
                                serving_on_reports, serving);

        serving->state = SERVING_UP;
        log_info(&serving->log->log, "session %u: started", serving->id);
        if (r < 0) {
                log_error(&serving->log->log, "session %u: cannot be watched: %s: killed", serving->id, log_errno(r));
                serving_kill(serving);
        } else if (serving->resized) {
                serving_resize(serving);
        }
        host_report(serving->host);
}

/* All that ran before the programs has ended, or is killed: who is there now? */
static void adopt(struct serving *serving)
{
        int r;

        serving->spawn_source = sd_event_source_disable_unref(serving->spawn_source);
        serving->timer = sd_event_source_disable_unref(serving->timer);
        keep_net(serving);
        spawn_done(&serving->spawning);
        r = adopt_all(serving);
        for (unsigned i = 0; r == 0 && !serving->error && i < SERVING_CHILDREN; i++)
                if (!fd_has(&serving->child[i].pidfd))
                        r = -ECHILD;
        if (r == 0 && !serving->error)
                be_up(serving);
        else if (r == 0)
                serving_end_start(serving);
        else if (serving->error < 0)
                serving_timer(serving, AGAIN_US, on_again); /* no descriptor, no memory: they stay until there is one */
        else
                give_up(serving, r);
}

static int on_word(sd_event_source *source, int fd, uint32_t events, void *context)
{
        struct serving *serving = context;

        (void) source;
        (void) fd;
        (void) events;
        if (serving->error < 0)
                end(serving);
        else if (!spawn_hear(&serving->spawning))
                return 0;
        else if (serving->spawning.error < 0)
                give_up(serving, serving->spawning.error);
        else
                adopt(serving);
        return 0;
}

static int on_patience_over(sd_event_source *source, uint64_t usec, void *context)
{
        (void) source;
        (void) usec;
        give_up(context, -ETIMEDOUT);
        return 0;
}

struct child serving_session_child(const struct host *host, const struct device_config *config)
{
        uint32_t queues = config->type->queues_max, threads = config->worker.threads;

        return (struct child){
                .name = "vhost-session",
                .program = host->programs.session.num,
                .limits = { .nofile = policy_count_of(policy_process_session.nofile, queues, threads),
                            .fsize = queues * vu_inflight_bytes(config->queue_size, true) },
                .namespaces = !(host->privilege.lacks & IPC_LAYER_NAMESPACES),
        };
}

struct child serving_worker_child(const struct host *host, const struct device_config *config,
                                  const struct resource *resource)
{
        const struct policy_process *policy = &policy_process_worker;
        uint32_t queues = config->type->queues_max, threads = config->worker.threads;

        return (struct child){
                .name = "vhost-worker",
                .program = host->programs.worker.num,
                .limits = { .nofile = policy_count_of(policy->nofile, queues, threads),
                            .nproc = limits_worker_tasks(config),
                            .memlock = policy_count_of(policy->memlock_kib, queues, threads) * 1024,
                            .fsize = serving_worker_fsize(resource),
                            .fsize_grows = true },
                .affinity = config->worker.pinned ? &config->worker.cpus : NULL,
                .namespaces = !(host->privilege.lacks & IPC_LAYER_NAMESPACES),
        };
}

static void give_fds(struct child *child, int first, int others)
{
        child->fd[0] = first;
        child->fd[1] = child->fd[2] = others;
}

static int begin(struct serving *serving, struct serving_birth *birth, const struct device_config *config)
{
        const struct host *host = serving->host;
        struct child session = serving_session_child(host, config);
        struct child worker = serving_worker_child(host, config, serving->resource);
        const struct spawn both = {
                .range = fd_has(&host->privilege.range) ? host->privilege.range.num : -1,
                .root = fd_has(&host->privilege.root) ? host->privilege.root.num : -1,
                .net = serving->net->num,
                .cgroup = serving->cgroup,
                .child = { [SERVING_SESSION] = &session, [SERVING_WORKER] = &worker },
                .n = SERVING_CHILDREN,
                .give = { &birth->session_control, &birth->worker_channel },
                .n_give = 2,
        };

        session.id = serving->child[SERVING_SESSION].slot;
        worker.id = serving->child[SERVING_WORKER].slot;
        give_fds(&session, birth->session_control.num, birth->session_reports.num);
        give_fds(&worker, birth->worker_channel.num, birth->worker_channel.num);
        return spawn_begin(&both, &serving->spawning);
}

int serving_spawn(struct serving *serving, struct serving_birth *birth, const struct device_config *config)
{
        const struct host *host = serving->host;
        int r = begin(serving, birth, config);

        if (r < 0)
                return r;
        serving->state = SERVING_STARTING;
        serving_timer(serving, PATIENCE_US, on_patience_over);
        r = sd_event_add_io(host->event, &serving->spawn_source, serving->spawning.report.num, EPOLLIN, on_word,
                            serving);
        if (r < 0)
                give_up(serving, r);
        return 0;
}
