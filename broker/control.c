/*
 * The control socket. Who may connect is judged by the kernel's word alone; who may is still a stranger in one way: its
 * packets may carry descriptors whose close blocks. So every packet is looked at before it is taken, one with
 * descriptors is never taken, and no connection's last close is ours.
 */
#include "control.h"

#include "clock_now.h"
#include "host.h"
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
        QUESTIONS_MOST = 16, /* per wake-up */
        QUESTIONS_PER_SECOND = 2000,
        QUESTIONS_BURST = 8000, /* a list of thousands of devices */
        PAUSE_US = 100 * 1000,
        SILENT_US = 60 * 1000 * 1000,
        ACCEPTS_PER_SECOND = 50,
        ACCEPTS_BURST = 200,
        REFUSALS_PER_SECOND = 1,
        REFUSALS_BURST = 5,
};

static void hang_up(struct control_connection *c)
{
        c->source = sd_event_source_disable_unref(c->source);
        c->timer = sd_event_source_disable_unref(c->timer);
        if (fd_has(&c->socket))
                host_close_stranger(c->control->host, fd_take(&c->socket));
}

/* Either it may be read again, or it has said nothing for too long. */
static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
        struct control_connection *c = context;

        (void) source;
        (void) usec;
        if (!c->paused) {
                hang_up(c);
                return 0;
        }
        c->paused = false;
        sd_event_source_set_enabled(c->source, SD_EVENT_ON);
        sd_event_source_set_time_relative(c->timer, SILENT_US);
        return sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static void restart_timer(struct control_connection *c, uint64_t usec)
{
        sd_event_source_set_time_relative(c->timer, usec);
        sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* What it asked for meanwhile waits in its own socket. */
static void pause_questions(struct control_connection *c)
{
        c->paused = true;
        sd_event_source_set_enabled(c->source, SD_EVENT_OFF);
        restart_timer(c, PAUSE_US);
}

/* Looking takes copies of descriptors, so it is not us who closes them last. -EBADMSG: the next packet has some. */
static int look(int connection)
{
        struct msghdr message = { 0 };

        if (recvmsg(connection, &message, MSG_PEEK | MSG_DONTWAIT) < 0)
                return -errno;
        return message.msg_flags & MSG_CTRUNC ? -EBADMSG : 0;
}

/* One question. An answer that finds no room has no reader. */
static int converse(struct control_connection *c)
{
        struct packet question, answer;
        int r = look(c->socket.num);

        if (r == 0)
                r = packet_recv(c->socket.num, 0, &question);
        if (r == 0)
                r = control_answer(c->control->host, &question, &answer);
        if (r < 0)
                return r;
        r = packet_send(c->socket.num, answer.header.type, answer.header.sequence, answer.body, answer.header.length,
                        NULL, 0);
        return r == -EAGAIN ? -ENOBUFS : r;
}

static int on_question(sd_event_source *source, int fd, uint32_t events, void *context)
{
        struct control_connection *c = context;
        int r = 0;

        (void) source;
        (void) fd;
        (void) events;
        for (unsigned i = 0; i < QUESTIONS_MOST && r == 0; i++) {
                if (!log_limit_take(&c->questions, clock_now_ns(), QUESTIONS_PER_SECOND, QUESTIONS_BURST)) {
                        pause_questions(c);
                        return 0;
                }
                r = converse(c);
        }
        if (r < 0 && r != -EAGAIN)
                hang_up(c);
        else
                restart_timer(c, SILENT_US);
        return 0;
}

static void welcome(struct control *control, struct fd connection)
{
        sd_event *event = control->host->event;

        for (unsigned i = 0; i < CONTROL_CONNECTIONS_MOST; i++) {
                struct control_connection *c = &control->connection[i];

                if (fd_has(&c->socket))
                        continue;
                *c = (struct control_connection){ .control = control, .socket = connection };
                if (sd_event_add_io(event, &c->source, connection.num, EPOLLIN, on_question, c) < 0 ||
                    sd_event_add_time_relative(event, &c->timer, CLOCK_MONOTONIC, SILENT_US, 0, on_timer, c) < 0)
                        hang_up(c);
                return;
        }
        if (log_limit_take(&control->refusals, clock_now_ns(), REFUSALS_PER_SECOND, REFUSALS_BURST))
                log_notice(control->host->log, "control: refused: there are %d connections already: EBUSY",
                           CONTROL_CONNECTIONS_MOST);
        host_close_stranger(control->host, connection);
}

/* Root, the group that the operator named, and, where the broker is an ordinary user's, that user. */
static bool may_ask(const struct control *control, const struct peer *peer, int connection)
{
        if (peer->uid == 0 || (control->host->privilege.own_uid && peer->uid == geteuid()))
                return true;
        return control->has_group && peer_has_group(peer, connection, control->group);
}

static void admit(struct control *control, struct fd connection)
{
        struct peer peer;
        int r = peer_of(connection.num, &peer);

        if (r == 0 && may_ask(control, &peer, connection.num)) {
                welcome(control, connection);
                return;
        }
        if (log_limit_take(&control->refusals, clock_now_ns(), REFUSALS_PER_SECOND, REFUSALS_BURST))
                log_notice(control->host->log, "control: uid %u gid %u may not ask: EACCES", (unsigned) peer.uid,
                           (unsigned) peer.gid);
        host_close_stranger(control->host, connection);
}

/* One per wake-up: devices' sockets have their turn in between. */
static int on_connect(sd_event_source *source, int fd, uint32_t events, void *context)
{
        struct control *control = context;
        struct fd connection = FD_NONE;

        (void) source;
        (void) events;
        if (control->host->n_strangers == 0 &&
            log_limit_take(&control->accepts, clock_now_ns(), ACCEPTS_PER_SECOND, ACCEPTS_BURST))
                connection.num = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd_has(&connection))
                admit(control, connection);
        else
                pause_source(&control->accept_pause, &control->source, PAUSE_US);
        return 0;
}

/* Where vhostctl looks as well. The stand-alone broker has none: several of them may run. */
static int default_path(const struct options *options, char *ret_path, size_t size)
{
        const char *runtime = getenv("RUNTIME_DIRECTORY"); /* systemd.exec(5): a list, separated by colons */
        int n;

        if (options->alone)
                return -ENOENT;
        if (runtime && runtime[0] == '/')
                n = snprintf(ret_path, size, "%.*s/control.sock", (int) strcspn(runtime, ":"), runtime);
        else if (options->device)
                n = snprintf(ret_path, size, "%s/%s.control", options->run_dir, options->device);
        else
                n = snprintf(ret_path, size, "%s/control.sock", options->run_dir);
        return n < (int) size ? 0 : -ENAMETOOLONG;
}

/* Nobody but its owner and its group: root's, or the group's that the operator named. */
static int make_socket(struct control *control, const char *path, const struct log *log)
{
        mode_t before = umask(0117);
        int r = listen_on_seqpacket(path, log, &control->listener);

        umask(before);
        if (r == 0 && control->has_group && chown(path, (uid_t) -1, control->group) < 0) {
                r = -errno;
                log_error(log, "control socket %s: giving it to group %u: %s", path, (unsigned) control->group,
                          log_errno(r));
                listener_done(&control->listener);
        }
        return r;
}

int control_open(struct control *control, const struct options *options, struct listen_passed *passed,
                 const struct log *log)
{
        char path[256];
        int r;

        *control = (struct control){ .has_group = options->has_control_group, .group = options->control_group };
        control->listener.socket = FD_NONE;
        for (unsigned i = 0; i < CONTROL_CONNECTIONS_MOST; i++)
                control->connection[i].socket = FD_NONE;
        r = listen_take_control(passed, &control->listener);
        if (r != -ENOENT)
                return r;
        if (options->control_socket)
                return options->control_socket[0] ? make_socket(control, options->control_socket, log) : 0;
        if (default_path(options, path, sizeof(path)) < 0)
                return 0;
        if (make_socket(control, path, log) < 0)
                log_warning(log, "control: vhostctl cannot ask this broker");
        return 0;
}

int control_start(struct control *control, struct host *host)
{
        control->host = host;
        if (!fd_has(&control->listener.socket))
                return 0;
        return sd_event_add_io(host->event, &control->source, control->listener.socket.num, EPOLLIN, on_connect,
                               control);
}

void control_done(struct control *control)
{
        control->source = sd_event_source_disable_unref(control->source);
        pause_done(&control->accept_pause);
        for (unsigned i = 0; i < CONTROL_CONNECTIONS_MOST; i++) {
                struct control_connection *c = &control->connection[i];

                c->source = sd_event_source_disable_unref(c->source);
                c->timer = sd_event_source_disable_unref(c->timer);
        }
        listener_leave(&control->listener);
}
