/*
 * How long one process takes from nothing to fully confined: from before the broker's own code (spawn.c) forks the
 * stage that clones it, to its first packet, which it sends when its run filter is in force: a worker's READY, a
 * session's SERVING (it finds a READY in its channel, once received from a real worker). This program does what the
 * broker does: gives its privilege away, loads the broker's filter, and then spawns the broker's own programs, one at a
 * time. On the way it notes what the broker is told as well: that the child runs its program. The device's net namespace
 * is there, as it is for all its connections but the first.
 *
 *   one-start BROKER [uring|sync] [STARTS]
 */
#include "clock_now.h"
#include "host.h"
#include "options.h"
#include "own_filter.h"
#include "process_limits.h"
#include "serving_internal.h"
#include "stand.h"
#include "statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 10000, WAIT_MS = 10000, DISK_BYTES = 64 << 20, ID = 1 };

enum moment { EXECUTED, CONFINED, MOMENTS };
enum which { WORKER, SESSION, CHILDREN };

struct bench {
        struct host host;
        struct options options;
        struct device_config *config; /* in it */
        struct resource resource;
        struct fd statistics;
        struct fd net; /* of the first start, which is not counted */
        struct packet ready; /* what a real worker said */
        unsigned n;
        double ms[CHILDREN][MOMENTS][MOST];
};

static void say(void *context, enum log_level level, const char *text)
{
        (void) context;
        (void) level;
        fprintf(stderr, "one-start: %s\n", text);
}

static const struct log bench_log = { .sink = say, .most = LOG_LEVEL_WARNING };

static int await(int fd, short events)
{
        struct pollfd one = { .fd = fd, .events = events };
        int n = poll(&one, 1, WAIT_MS);

        return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

/* Until it has spoken, and its program runs. */
static int watch(struct spawning *spawning, int word, long long from, long long ret_at[MOMENTS])
{
        struct pollfd polls[] = { { .fd = spawning->report.num, .events = POLLIN }, { .fd = word, .events = POLLIN } };

        memset(ret_at, 0, MOMENTS * sizeof(*ret_at));
        while (!ret_at[CONFINED] || !ret_at[EXECUTED]) {
                int n = poll(polls, 2, WAIT_MS);
                long long now = clock_now_ns() - from;

                if (n < 1)
                        return n ? -errno : -ETIMEDOUT;
                if (polls[1].revents) {
                        ret_at[CONFINED] = now;
                        polls[1].fd = -1;
                }
                if (!polls[0].revents)
                        continue;
                if (spawn_hear(spawning)) {
                        ret_at[EXECUTED] = now;
                        polls[0].fd = -1;
                }
                if (spawning->error)
                        return spawning->error;
        }
        return 0;
}

/* Kills and reaps them; they are ours alone, so their numbers still name them. */
static int end(struct spawning *spawning)
{
        const pid_t all[] = { spawning->stage, spawning->pid[0] };
        int r = 0;

        spawn_kill(spawning);
        for (unsigned i = 0; i < 2; i++)
                if (all[i] > 0 && waitpid(all[i], NULL, 0) < 0)
                        r = -errno;
        spawn_done(spawning);
        return r;
}

typedef int receive_fn(int word, struct packet *ret_packet);

static int receive_worker(int word, struct packet *ret_packet)
{
        return packet_recv(word, 0, ret_packet);
}

/* Starts one child and waits for the packet that it can only send when it is confined. */
static int start_one(struct bench *b, struct child *child, struct fd *give, int word, receive_fn *receive,
                     enum ipc_type expected, struct packet *ret_packet, long long ret_at[MOMENTS])
{
        const struct spawn spawn = { .range = b->host.privilege.range.num, .root = b->host.privilege.root.num,
                                     .net = b->net.num, .cgroup = -1, .child = { child }, .n = 1,
                                     .give = { give }, .n_give = 1 };
        struct spawning spawning;
        long long from = clock_now_ns();
        int r = spawn_begin(&spawn, &spawning), ended;

        if (r < 0)
                return r;
        r = watch(&spawning, word, from, ret_at);
        if (r == 0)
                r = receive(word, ret_packet);
        if (r == 0 && ret_packet->header.type != expected)
                r = -EPROTO;
        if (r == 0 && !fd_has(&b->net))
                r = spawn_open_net(&spawning, &b->net);
        ended = end(&spawning);
        return r < 0 ? r : ended;
}

static int start_worker(struct bench *b, long long ret_at[MOMENTS])
{
        struct ipc_device device = serving_device(&b->host, b->config, &b->resource);
        struct child child = serving_worker_child(&b->host, b->config, &b->resource);
        AUTO_FD ours = FD_NONE;
        AUTO_FD channel = FD_NONE;
        AUTO_FD fence = FD_NONE;
        AUTO_FD fence_write = FD_NONE;
        int r = serving_make_pair(SOCK_SEQPACKET, &ours, &channel);

        if (r == 0)
                r = serving_make_pipe(0, &fence, &fence_write);
        if (r == 0)
                r = packet_send(ours.num, IPC_DEVICE, 0, &device, sizeof(device),
                                (int[]){ fence_write.num, b->statistics.num, b->resource.disk.num }, 3);
        fd_close(&fence_write);
        child.id = ID;
        child.fd[0] = child.fd[1] = child.fd[2] = channel.num;
        if (r == 0)
                r = start_one(b, &child, &channel, ours.num, receive_worker, IPC_READY, &b->ready, ret_at);
        return r < 0 ? r : await(fence.num, 0); /* the kernel has freed its rings: the machine is idle again */
}

static int start_session(struct bench *b, long long ret_at[MOMENTS])
{
        struct ipc_connection connection = serving_connection(1, b->config);
        struct child child = serving_session_child(&b->host, b->config);
        struct packet serving;
        AUTO_FD control = FD_NONE;
        AUTO_FD its_control = FD_NONE;
        AUTO_FD reports = FD_NONE;
        AUTO_FD its_reports = FD_NONE;
        AUTO_FD worker = FD_NONE;
        AUTO_FD its_channel = FD_NONE;
        AUTO_FD front = FD_NONE;
        AUTO_FD its_front = FD_NONE;
        int r = serving_make_pair(SOCK_SEQPACKET, &control, &its_control);

        if (r == 0)
                r = serving_make_pipe(O_DIRECT | O_NONBLOCK, &reports, &its_reports);
        if (r == 0)
                r = serving_make_pair(SOCK_SEQPACKET, &worker, &its_channel);
        if (r == 0)
                r = serving_make_pair(SOCK_STREAM, &front, &its_front);
        if (r == 0)
                r = packet_send(worker.num, IPC_READY, 0, b->ready.body, b->ready.header.length, NULL, 0);
        if (r == 0)
                r = packet_send(control.num, IPC_CONNECTION, 0, &connection, sizeof(connection),
                                (int[]){ its_front.num, its_channel.num }, 2);
        fd_close(&its_front);
        fd_close(&its_channel);
        child.id = ID;
        child.fd[0] = its_control.num;
        child.fd[1] = child.fd[2] = its_reports.num;
        return r < 0 ? r : start_one(b, &child, &its_control, reports.num, packet_read, IPC_SERVING, &serving, ret_at);
}

typedef int start_fn(struct bench *b, long long ret_at[MOMENTS]);

/* The first, which has to bring much into memory, is left out. */
static int measure(struct bench *b, enum which which, start_fn *start)
{
        long long at[MOMENTS];
        int r = start(b, at);

        for (unsigned i = 0; i < b->n && !r; i++) {
                r = start(b, at);
                for (unsigned m = 0; m < MOMENTS; m++)
                        b->ms[which][m][i] = (double) at[m] / 1e6;
        }
        if (r < 0)
                fprintf(stderr, "one-start: %s: %s\n", which == WORKER ? "worker" : "session", log_errno(r));
        return r;
}

static void print(struct bench *b, enum which which, const char *name)
{
        double median[MOMENTS], *confined = b->ms[which][CONFINED];

        for (unsigned m = 0; m < MOMENTS; m++)
                median[m] = stand_median(b->ms[which][m], b->n);
        printf("%s, %u starts: median %.3f ms, p90 %.3f ms, max %.3f ms (executed %.3f)\n", name, b->n,
               median[CONFINED], confined[b->n * 9 / 10], confined[b->n - 1], median[EXECUTED]);
}

static int open_program(const char *broker, const char *name, struct fd *ret_program)
{
        const char *slash = strrchr(broker, '/');
        char path[4096];

        snprintf(path, sizeof(path), "%.*s%s", slash ? (int) (slash + 1 - broker) : 0, broker, name);
        ret_program->num = open(path, O_RDONLY | O_CLOEXEC);
        return fd_has(ret_program) ? 0 : -errno;
}

/* As the broker's main() does it. */
static int become_broker(struct bench *b, const char *broker)
{
        struct options *options = &b->options;
        struct config config = { .device = &options->standing, .n = 1 };
        struct privilege_want want = { .uid_base = options->uid_base, .uid_count = options->uid_count,
                                       .run_dir = options->run_dir, .ids = ID };
        int r = limits_raise(&config, &bench_log);

        signal(SIGPIPE, SIG_IGN);
        b->net = FD_NONE;
        b->config = &options->standing;
        b->host.log = &bench_log;
        if (r == 0)
                r = open_program(broker, "session/vhost-session", &b->host.programs.session);
        if (r == 0)
                r = open_program(broker, "../worker/vhost-worker", &b->host.programs.worker);
        if (r == 0)
                r = statistics_make(b->config->name, b->config->worker.threads, &b->statistics);
        if (r == 0)
                r = resource_open(b->config, &bench_log, 0, &b->resource);
        if (r == 0)
                r = privilege_give_away(&want, &bench_log, &b->host.privilege);
        return r < 0 ? r : own_filter_load(&bench_log);
}

/* The disk loses its name at once. */
static int prepare(struct bench *b, const char *broker, const char *engine)
{
        char disk[] = "/tmp/vb-bench-XXXXXX", option[64], set[64];
        char *argv[] = { "one-start", "--type=block", "--socket-path=/none", option, "--set", set, NULL };
        AUTO_FD file = { mkostemp(disk, O_CLOEXEC) };
        int r = !fd_has(&file) || ftruncate(file.num, DISK_BYTES) < 0 ? -errno : 0;

        snprintf(option, sizeof(option), "--blk-file=%s", disk);
        snprintf(set, sizeof(set), "block.engine=%s", engine);
        if (r == 0)
                r = options_parse(6, argv, false, &bench_log, &b->options);
        if (r == 0)
                r = become_broker(b, broker);
        unlink(disk);
        return r;
}

/* In a process of its own: who sorts and prints needs calls that the broker's filter refuses. */
static int run(struct bench *b, const char *broker, const char *engine)
{
        pid_t pid = fork();
        int status, r;

        if (pid == 0) {
                r = prepare(b, broker, engine);
                if (r < 0)
                        fprintf(stderr, "one-start: cannot begin: %s\n", log_errno(r));
                if (r == 0)
                        r = measure(b, WORKER, start_worker);
                if (r == 0)
                        r = measure(b, SESSION, start_session);
                _exit(r < 0);
        }
        return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -ECHILD;
}

int main(int argc, char **argv)
{
        const char *engine = argc > 2 ? argv[2] : "uring";
        unsigned n = argc > 3 ? (unsigned) atoi(argv[3]) : 500;
        struct bench *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (argc < 2 || !n || n > MOST || b == MAP_FAILED) {
                fprintf(stderr, "one-start BROKER [uring|sync] [STARTS]\n");
                return 2;
        }
        b->n = n;
        if (run(b, argv[1], engine) < 0)
                return 1;
        print(b, WORKER, strcmp(engine, "sync") == 0 ? "worker, sync" : "worker, uring");
        print(b, SESSION, "session");
        return 0;
}
