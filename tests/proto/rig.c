/*
 * The stand of the protocol tests.
 */
#include "rig.h"

#include "array.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void rig_pattern(uint64_t offset, uint8_t *to, size_t n)
{
        for (size_t i = 0; i < n; i++)
                to[i] = (uint8_t) (((offset + i) / 512 * 31 + (offset + i) * 7) >> 0);
}

static void make_disk(const char *path, uint64_t bytes)
{
        AUTO_FD fd = { open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) };
        static const size_t chunk = 1 << 20;
        uint8_t *data = malloc(chunk);

        ck_assert(fd.num >= 0 && data);
        for (uint64_t at = 0; at < bytes; at += chunk) {
                rig_pattern(at, data, chunk);
                ck_assert(pwrite(fd.num, data, chunk, (off_t) at) == (ssize_t) chunk);
        }
        free(data);
}

static void write_config(const struct rig *rig, const char *name, const char *socket, const char *disk)
{
        const struct rig_options *o = &rig->options;
        char path[RIG_PATH_MAX + 32];
        FILE *f;

        snprintf(path, sizeof(path), "%s/conf/%s.conf", rig->dir, name);
        f = fopen(path, "we");
        ck_assert(f != NULL);
        fprintf(f, "[Device]\nType=%s\nSocket=%s\n", o->type, socket);
        if (!strcmp(o->type, "block"))
                fprintf(f, "[Block]\nPath=%s\nQueues=%u\nEngine=%s\nReadOnly=%s\n", disk, o->queues,
                        o->engine ? o->engine : "auto", o->read_only ? "yes" : "no");
        fprintf(f, "[Limits]\nHoldMs=%u\n", o->hold_ms);
        for (unsigned i = 0; i < RIG_SETS && o->set[i] && socket == rig->socket; i++) {
                const char *dot = strchr(o->set[i], '.');

                fprintf(f, "[%.*s]\n%s\n", (int) (dot - o->set[i]), o->set[i], dot + 1);
        }
        ck_assert_int_eq(fclose(f), 0);
}

struct words {
        char text[32][RIG_PATH_MAX + 32];
        char *argv[33];
        unsigned n;
};

__attribute__((format(printf, 2, 3))) static void word(struct words *w, const char *format, ...)
{
        va_list arguments;

        ck_assert(w->n < ARRAY_SIZE(w->text));
        va_start(arguments, format);
        vsnprintf(w->text[w->n], sizeof(w->text[0]), format, arguments);
        va_end(arguments);
        w->argv[w->n] = w->text[w->n];
        w->argv[++w->n] = NULL;
}

static void stand_alone(const struct rig *rig, struct words *w)
{
        const struct rig_options *o = &rig->options;

        word(w, "--type=%s", o->type);
        if (!rig->options.held)
                word(w, "--socket-path=%s", rig->socket);
        word(w, "--set");
        word(w, "limits.holdms=%u", o->hold_ms);
        for (unsigned i = 0; i < RIG_SETS && o->set[i]; i++) {
                word(w, "--set");
                word(w, "%s", o->set[i]);
        }
        if (strcmp(o->type, "block") != 0)
                return;
        if (o->engine && !strcmp(o->engine, "null")) {
                word(w, "--set");
                word(w, "block.size=%llu", (unsigned long long) o->disk_bytes);
        } else {
                word(w, "--blk-file=%s", rig->disk);
        }
        word(w, "--set");
        word(w, "block.queues=%u", o->queues);
        if (o->engine) {
                word(w, "--set");
                word(w, "block.engine=%s", o->engine);
        }
        if (o->read_only)
                word(w, "--read-only");
}

static void write_configs(const struct rig *rig)
{
        char path[RIG_PATH_MAX];

        snprintf(path, sizeof(path), "%s/conf", rig->dir);
        ck_assert_int_eq(mkdir(path, 0755), 0);
        write_config(rig, "a", rig->socket, rig->disk);
        write_config(rig, "b", rig->other_socket, rig->other_disk);
}

static void two_devices(const struct rig *rig, struct words *w)
{
        word(w, "--config");
        word(w, "%s/conf", rig->dir);
}

static void make_paths(struct rig *rig)
{
        const char *base = getenv("RIG_DIR");

        snprintf(rig->dir, sizeof(rig->dir), "%s/XXXXXX", base ? base : "/tmp");
        ck_assert(mkdtemp(rig->dir) != NULL);
        ck_assert_int_eq(chmod(rig->dir, 0755), 0);
        snprintf(rig->socket, sizeof(rig->socket), "%s/a.sock", rig->dir);
        if (rig->options.disk)
                snprintf(rig->disk, sizeof(rig->disk), "%s", rig->options.disk);
        else
                snprintf(rig->disk, sizeof(rig->disk), "%s/a.img", rig->dir);
        snprintf(rig->other_socket, sizeof(rig->other_socket), "%s/b.sock", rig->dir);
        snprintf(rig->control, sizeof(rig->control), "%s/control", rig->dir);
        snprintf(rig->other_disk, sizeof(rig->other_disk), "%s/b.img", rig->dir);
}

static void make_disks(const struct rig *rig)
{
        if (strcmp(rig->options.type, "block") != 0)
                return;
        if (!rig->options.disk)
                make_disk(rig->disk, rig->options.disk_bytes);
        if (rig->options.neighbour)
                make_disk(rig->other_disk, rig->options.disk_bytes);
}

static void own(const char *path, unsigned user)
{
        ck_assert_int_eq(chown(path, user, user), 0);
}

static void give_to_user(const struct rig *rig)
{
        own(rig->dir, rig->options.user);
        if (strcmp(rig->options.type, "block") != 0)
                return;
        own(rig->disk, rig->options.user);
        if (rig->options.neighbour)
                own(rig->other_disk, rig->options.user);
}

/* A first connection, after which the broker has what it makes once at need: the net namespace, nothing else. */
static void warm_up_device(const struct rig *rig, const char *socket)
{
        struct fe_conn conn;
        int fds = prog_count_fds(rig->prog.pid);

        OK(fe_connect(socket, FE_TIMEOUT_MS, &conn));
        rig_quiet(&conn);
        fe_close(&conn);
        rig_await_idle(rig);
        OK(prog_await_fds(rig->prog.pid, fds + 1, FE_TIMEOUT_MS));
}

static void warm_up(struct rig *rig)
{
        warm_up_device(rig, rig->socket);
        if (rig->options.neighbour)
                warm_up_device(rig, rig->other_socket);
        rig->fds = prog_count_fds(rig->prog.pid);
}

static void hold_socket(struct rig *rig)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        static_assert(sizeof(rig->socket) <= sizeof(address.sun_path), "a rig's path is an address");
        memcpy(address.sun_path, rig->socket, sizeof(rig->socket));
        rig->held.num = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert(fd_has(&rig->held));
        ck_assert_int_eq(bind(rig->held.num, (struct sockaddr *) &address, sizeof(address)), 0);
        ck_assert_int_eq(listen(rig->held.num, 16), 0);
}

static void as_user(struct words *w, unsigned user)
{
        word(w, "setpriv");
        word(w, "--reuid=%u", user);
        word(w, "--regid=%u", user);
        word(w, "--clear-groups");
}

/* The broker as the options say; waits until it is ready. -ECHILD: it has ended instead, as its log says. */
static int try_broker(struct rig *rig)
{
        const char *broker = getenv("VHOST_BROKER");
        struct words w = { .n = 0 };

        ck_assert_msg(broker, "VHOST_BROKER is not set");
        for (unsigned i = 0; i < RIG_THROUGH && rig->options.through[i]; i++)
                word(&w, "%s", rig->options.through[i]);
        if (rig->options.user)
                as_user(&w, rig->options.user);
        word(&w, "%s", broker);
        if (rig->options.neighbour)
                two_devices(rig, &w);
        else
                stand_alone(rig, &w);
        word(&w, "--control-socket=%s", rig->control);
        if (rig->options.control_group)
                word(&w, "--control-group=%s", rig->options.control_group);
        OK(prog_start_with(w.argv, rig->held.num, &rig->prog));
        return prog_ready(&rig->prog, RIG_START_MS);
}

static void start_broker(struct rig *rig)
{
        int r = try_broker(rig);

        ck_assert_msg(!r, "the broker is not ready: %s\n%s", log_errno(r), rig->prog.log);
}

void rig_many_configs(const char *conf, const char *dir, unsigned n)
{
        char path[200];

        ck_assert_int_eq(mkdir(conf, 0755), 0);
        for (unsigned i = 0; i < n; i++) {
                FILE *file;

                snprintf(path, sizeof(path), "%s/%u.conf", conf, i);
                file = fopen(path, "we");
                ck_assert(file != NULL);
                fprintf(file, "[Device]\nType=rng\nSocket=%s/%u.sock\n", dir, i);
                ck_assert_int_eq(fclose(file), 0);
        }
}

struct rig rig_start(struct rig_options options)
{
        struct rig rig = { .options = options, .held = FD_NONE };

        rig.options.type = options.type ? options.type : "block";
        rig.options.queues = options.queues ? options.queues : 4;
        rig.options.hold_ms = options.hold_ms ? options.hold_ms : 10 * 60 * 1000;
        rig.options.disk_bytes = options.disk_bytes ? options.disk_bytes : RIG_DISK_BYTES;
        make_paths(&rig);
        make_disks(&rig);
        if (options.held)
                hold_socket(&rig);
        if (options.neighbour)
                write_configs(&rig);
        if (options.user)
                give_to_user(&rig);
        start_broker(&rig);
        if (!getenv("RIG_FOREIGN"))
                warm_up(&rig);
        return rig;
}

void rig_kill(struct rig *rig, const pid_t *pids, unsigned n)
{
        struct fd pidfd[8];
        bool all = false;

        ck_assert(n <= ARRAY_SIZE(pidfd));
        for (unsigned i = 0; i < n; i++)
                pidfd[i].num = pidfd_open(pids[i], 0); /* -1: it has ended with another of them */
        for (unsigned i = 0; i < n; i++) {
                if (fd_has(&pidfd[i]))
                        pidfd_send_signal(pidfd[i].num, SIGKILL, NULL, 0);
                all |= pids[i] == rig->prog.pid;
        }
        for (unsigned i = 0; i < n; i++) {
                if (fd_has(&pidfd[i]))
                        OK(fe_poll(pidfd[i].num, POLLIN, fe_deadline(FE_TIMEOUT_MS)));
                fd_close(&pidfd[i]);
        }
        if (!all)
                return;
        while (waitpid(-1, NULL, 0) > 0) /* the broker, and its children, now ours */
                ;
        prog_done(&rig->prog);
}

void rig_crash(struct rig *rig)
{
        int status;

        ck_assert_int_eq(kill(rig->prog.pid, SIGKILL), 0);
        OK(prog_end(&rig->prog, FE_TIMEOUT_MS, &status));
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        prog_done(&rig->prog);
}

unsigned rig_restart(struct rig *rig)
{
        long long deadline = fe_deadline(RIG_START_MS);
        int r, status;

        rig->fds = 0;
        for (unsigned failed = 0;; failed++) {
                r = try_broker(rig);
                if (!r)
                        return failed;
                ck_assert_msg(r == -ECHILD && fe_left_ms(deadline), "no broker is ready: %s\n%s", log_errno(r),
                              rig->prog.log);
                OK(prog_end(&rig->prog, FE_TIMEOUT_MS, &status));
                prog_done(&rig->prog);
        }
}

void rig_await_up(struct rig *rig, unsigned session)
{
        char line[64];

        snprintf(line, sizeof(line), "session %u: started", session);
        OK(prog_log_wait(&rig->prog, 0, line, FE_TIMEOUT_MS));
}

void rig_await_idle(const struct rig *rig)
{
        const struct timespec tick = { .tv_nsec = 2000000 }; /* processes that are not ours end without an event */
        long long deadline = fe_deadline(FE_TIMEOUT_MS);

        while (prog_find(rig->prog.pid, "vhost-worker", NULL, 0) ||
               prog_find(rig->prog.pid, "vhost-session", NULL, 0)) {
                ck_assert_msg(fe_left_ms(deadline), "a session or a worker does not end");
                nanosleep(&tick, NULL);
        }
}

void rig_stop(struct rig *rig)
{
        int r, status = 0, ms;

        rig_await_idle(rig);
        r = !rig->fds ? 0 : prog_await_fds(rig->prog.pid, rig->fds, FE_TIMEOUT_MS);
        ck_assert_msg(!r, "the broker has %d fds, %d before", prog_count_fds(rig->prog.pid), rig->fds);
        r = prog_stop(&rig->prog, RIG_STOP_MS, &status, &ms);
        ck_assert_msg(!r, "stopping left something: %s", log_errno(r));
        ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "the broker ended with status %#x", status);
        fd_close(&rig->held);
}

void rig_drop(struct rig *rig)
{
        int status, ms;

        prog_stop(&rig->prog, RIG_STOP_MS, &status, &ms);
}

pid_t rig_child(const struct rig *rig, const char *name)
{
        const struct timespec tick = { .tv_nsec = 2000000 }; /* no event tells of a grandchild's birth */
        long long deadline = fe_deadline(FE_TIMEOUT_MS);
        pid_t pid[2];

        while (prog_find(rig->prog.pid, name, pid, 2) != 1) {
                ck_assert_msg(fe_left_ms(deadline), "there is not exactly one %s", name);
                nanosleep(&tick, NULL);
        }
        return pid[0];
}

struct fe_conn rig_connect(const struct rig *rig)
{
        struct fe_conn conn;
        uint64_t features;

        OK(fe_connect(rig->socket, FE_TIMEOUT_MS, &conn));
        OK(fe_get_features(&conn, &features));
        ck_assert(features & VIRTIO_BIT(VU_F_PROTOCOL_FEATURES));
        OK(fe_get_protocol_features(&conn, &features));
        OK(fe_set_protocol_features(&conn, features));
        return conn;
}

bool rig_packed(void)
{
        const char *ring = getenv("RIG_RING");

        return ring && !strcmp(ring, "packed");
}

struct fe_device rig_device(const struct rig *rig, struct fe_options options)
{
        struct fe_device device;

        options.packed |= rig_packed();
        OK(fe_device_start(rig->socket, &options, &device));
        return device;
}

struct drv_blk rig_blk(struct fe_device *device, unsigned queue)
{
        struct drv_blk blk;

        OK(drv_blk_init(&blk, device->vring[queue], 0, 1, 64 << 10));
        return blk;
}

void rig_read_one(const struct rig *rig, struct drv_blk *blk)
{
        uint8_t got[512], want[512];

        OK(drv_blk_read(blk, 1, got, sizeof(got)));
        rig_read_disk(rig, 512, want, sizeof(want));
        ck_assert_mem_eq(got, want, sizeof(want));
}

void rig_read_disk(const struct rig *rig, uint64_t offset, void *to, size_t n)
{
        AUTO_FD fd = { open(rig->disk, O_RDONLY | O_CLOEXEC) };

        ck_assert(fd.num >= 0);
        ck_assert(pread(fd.num, to, n, (off_t) offset) == (ssize_t) n);
}

/* Only one connection may wait for the end of another, so a new one can be refused: it comes again, as VMMs do. */
void rig_check_alive(const struct rig *rig)
{
        const struct timespec pause = { .tv_nsec = 20000000 }; /* between attempts: nothing tells who may come */
        long long deadline = fe_deadline(FE_TIMEOUT_MS);
        struct fe_device device;
        struct drv_blk blk;
        int r;

        while ((r = fe_device_start(rig->socket, NULL, &device)) == -ECONNRESET || r == -EPIPE) {
                ck_assert_msg(fe_left_ms(deadline), "no new connection is served");
                nanosleep(&pause, NULL);
        }
        OK(r);
        blk = rig_blk(&device, 0);
        rig_read_one(rig, &blk);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}

void rig_quiet(struct fe_conn *conn)
{
        uint64_t features;

        OK(fe_get_features(conn, &features));
}
