/*
 * The loop. It waits in one place for the broker, the worker and the front-end, and never for one of them alone:
 * while a proposal is with the worker, or a reply on its way, the front-end's next message is left in its socket.
 */
#include "session.h"

#include "clock.h"
#include "device_state.h"
#include "handlers.h"
#include "inband.h"
#include "vu_rules.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FROM_BROKER, WORKER, FRONT, TO_BROKER, BACKEND, POLLS };

struct deadline {
        long long at; /* 0: none */
        enum session_end end;
        const char *missed;
};

enum { DEADLINES = 6 };

void session_init(struct session *s, struct fd broker, struct fd up)
{
        s->broker = broker;
        s->up = up;
        session_log_init(&s->log, up.num);
        s->broker_peer = (struct ipc_peer){ .way = IPC_BROKER_TO_SESSION, .stage = IPC_NEW };
        s->owes = 0;
        s->lacks = 0;
        s->may_restart = false;
        s->offered = 0;
        s->has_device = false;
        s->front = FD_NONE;
        s->msg.n_fds = 0;
        s->msg.got = 0;
        s->handling = false;
        s->why[0] = 0;
        s->out.fd = FD_NONE;
        vu_out_done(&s->out);
        s->pace = (struct log_limit){ 0 };
        s->paused_until = 0;
        s->first_until = 0;
        s->setup_until = 0;
        s->partial_since = 0;
        s->state_since = 0;
        s->features_refused = false;
        s->config_change_due = false;
        s->misses_due = false;
        for (unsigned i = 0; i < LIMIT_QUEUES; i++)
                s->due[i] = (struct backend_due){ 0 };
        s->resize_due = 0;
        s->postcopy = POSTCOPY_NONE;
        s->postcopy_waits = false;
        s->userfault = FD_NONE;
        link_init(&s->link);
        ledger_init(&s->ledger);
        s->over = false;
        s->end = SESSION_LEFT;
}

void session_open(struct session *s, struct packet *connection)
{
        s->front = fd_take(&connection->fd[0]);
        s->broker_peer.stage = IPC_UP;
        s->log.per_s = s->allowed.limits.log_per_s;
        s->setup_until = session_deadline(s->allowed.limits.setup_ms);
        link_open(s, fd_take(&connection->fd[1]));
}

void session_done(struct session *s)
{
        vu_msg_done(&s->msg);
        vu_out_done(&s->out);
        link_done(&s->link);
        ledger_done(&s->ledger);
        fd_close(&s->userfault);
        fd_close(&s->front);
        fd_close(&s->broker);
        fd_close(&s->up);
}

void session_end_quietly(struct session *s, enum session_end end)
{
        if (s->over)
                return;
        s->over = true;
        s->end = end;
}

void session_end(struct session *s, enum session_end end, const char *format, ...)
{
        va_list arguments;

        if (s->over)
                return;
        session_end_quietly(s, end);
        va_start(arguments, format);
        log_at_v(&s->log.log, end == SESSION_LEFT ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, format, arguments);
        va_end(arguments);
}

int session_fail(struct session *s, int error, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(s->why, sizeof(s->why), format, arguments);
        va_end(arguments);
        return error;
}

bool session_has(const struct session *s, unsigned protocol_feature)
{
        return s->ledger.protocol & UINT64_C(1) << protocol_feature;
}

/* What the broker has to be told; the pipe may be full, then later. */
static void pay_broker(struct session *s)
{
        struct ipc_serving serving = { .engine = s->device.engine, .lacks = s->lacks | s->device.lacks };
        int r = 0;

        if (s->owes & OWES_SERVING) {
                r = packet_send(s->up.num, IPC_SERVING, 0, &serving, sizeof(serving), NULL, 0);
                if (r == 0)
                        s->owes &= ~(unsigned) OWES_SERVING;
        }
        if (r == 0 && s->owes & OWES_WANT_WORKER) {
                r = packet_send(s->up.num, IPC_WANT_WORKER, 0, NULL, 0, NULL, 0);
                if (r == 0)
                        s->owes &= ~(unsigned) OWES_WANT_WORKER;
        }
        if (r < 0 && r != -EAGAIN)
                session_end_quietly(s, SESSION_BROKER_FAILED); /* no way left to say so */
}

void session_worker_up(struct session *s)
{
        if (s->partial_since)
                s->partial_since = clock_now_ns();
        if (s->state_since)
                s->state_since = clock_now_ns();
        s->owes |= OWES_SERVING;
        pay_broker(s);
}

/* Of several sizes the last one counts. */
static int obey_broker(struct session *s, struct packet *packet)
{
        struct ipc_resize resize;

        if (packet->header.type == IPC_RESIZE) {
                memcpy(&resize, packet->body, sizeof(resize));
                s->resize_due = resize.capacity;
                return 0;
        }
        if (fd_has(&s->link.channel))
                return -EBUSY;
        link_open(s, fd_take(&packet->fd[0]));
        return 0;
}

static void from_broker(struct session *s)
{
        struct packet packet;
        int r = packet_recv(s->broker.num, 1, &packet);

        if (r == -EAGAIN)
                return;
        if (r == -ENODATA) {
                if (fd_has(&s->link.channel)) /* a worker that has ended is why; it may have said more */
                        link_receive(s);
                session_end(s, SESSION_LEFT, "the broker asks to end");
                return;
        }
        if (r == 0)
                r = ipc_check(&s->broker_peer, &packet);
        if (r == 0)
                r = obey_broker(s, &packet);
        if (r < 0)
                session_end(s, SESSION_BROKER_FAILED, "from the broker: %s", log_errno(r));
        packet_done(&packet);
}

static bool may_read(const struct session *s)
{
        return s->has_device && link_idle(&s->link) && !s->handling && !s->out.length && !s->paused_until;
}

static void read_front(struct session *s)
{
        int r;

        const struct ipc_limits *limits = &s->allowed.limits;

        if (s->msg.got == 0 &&
            !log_limit_take(&s->pace, clock_now_ns(), limits->messages_per_s, limits->messages_burst)) {
                s->paused_until = clock_now_ns() + LIMIT_PAUSE_MS * MS_NS;
                return;
        }
        r = vu_recv(s->front.num, &s->msg);
        if (r == -EAGAIN) {
                if (s->msg.got && !s->partial_since)
                        s->partial_since = clock_now_ns();
        } else if (r == -ENODATA) {
                session_end(s, SESSION_LEFT, "the front-end has left");
        } else if (r < 0) {
                session_end(s, SESSION_FRONT_END_FAILED, "no vhost-user message: %s", log_errno(r));
        } else {
                s->first_until = 0;
                s->partial_since = 0;
                vu_handle(s);
        }
}

static void on_front(struct session *s, short events)
{
        if (s->out.length) {
                int r = vu_out_send(&s->out, s->front.num);

                if (r < 0 && r != -EAGAIN)
                        session_end(s, SESSION_LEFT, "the front-end has left without its reply");
        } else if (may_read(s)) {
                read_front(s);
        } else if (events & (POLLHUP | POLLERR)) {
                session_end(s, SESSION_LEFT, "the front-end has left");
        }
}

static long long after(long long since, long long limit_ms)
{
        return since && limit_ms ? since + limit_ms * MS_NS : 0;
}

long long session_deadline(uint32_t limit_ms)
{
        return after(clock_now_ns(), limit_ms);
}

/* All that may end a session for being slow; in idle there is none, and the loop sleeps without a timer. */
static void deadlines(const struct session *s, struct deadline ret[DEADLINES])
{
        const struct ipc_limits *limits = &s->allowed.limits;

        ret[0] = (struct deadline){ s->out.length ? after(s->out.since, limits->reply_ms) : 0,
                                    SESSION_FRONT_END_FAILED, "the front-end does not take its reply" };
        ret[1] = (struct deadline){ may_read(s) ? after(s->partial_since, limits->partial_ms) : 0,
                                    SESSION_FRONT_END_FAILED, "a message was begun and not ended" };
        ret[2] = (struct deadline){ s->first_until, SESSION_FRONT_END_FAILED, "the front-end says nothing" };
        ret[3] = (struct deadline){ after(s->link.since, LIMIT_WORKER_MS), SESSION_WORKER_FAILED,
                                    "the worker does not take its packets" };
        ret[4] = (struct deadline){ s->setup_until, SESSION_FRONT_END_FAILED, "the front-end negotiates nothing" };
        ret[5] = (struct deadline){ state_is_awaited(s) ? after(s->state_since, limits->reply_ms) : 0,
                                    SESSION_FRONT_END_FAILED, "the front-end does not end its device's state" };
}

static long long next_deadline(const struct session *s, int most_ms)
{
        long long next = most_ms < 0 ? 0 : clock_now_ns() + most_ms * MS_NS;
        struct deadline all[DEADLINES];

        deadlines(s, all);
        for (unsigned i = 0; i < DEADLINES; i++)
                if (all[i].at && (!next || all[i].at < next))
                        next = all[i].at;
        if (s->paused_until && (!next || s->paused_until < next))
                next = s->paused_until;
        return next;
}

static void check_deadlines(struct session *s)
{
        struct deadline all[DEADLINES];
        long long now = 0;

        deadlines(s, all);
        for (unsigned i = 0; i < DEADLINES; i++) {
                if (all[i].at && !now)
                        now = clock_now_ns();
                if (all[i].at && all[i].at <= now)
                        session_end(s, all[i].end, "%s: ETIMEDOUT", all[i].missed);
        }
        if (s->paused_until && s->paused_until <= clock_now_ns())
                s->paused_until = 0;
}

static int wait_for(const struct session *s, struct pollfd *polls, unsigned n, int most_ms)
{
        long long until = next_deadline(s, most_ms);
        long long left = until ? until - clock_now_ns() : 0;
        struct timespec timeout;

        if (left < 0)
                left = 0;
        timeout = (struct timespec){ left / (1000 * MS_NS), left % (1000 * MS_NS) };
        return ppoll(polls, n, until ? &timeout : NULL, NULL);
}

void session_step(struct session *s, int most_ms)
{
        bool waits = s->misses_due && backend_has_channel(s);
        struct pollfd polls[POLLS + LIMIT_QUEUES] = {
                [FROM_BROKER] = { .fd = s->broker.num, .events = POLLIN },
                [WORKER] = { .fd = s->link.channel.num, .events = s->link.unsent ? POLLIN | POLLOUT : POLLIN },
                [FRONT] = { .fd = s->front.num, .events = s->out.length ? POLLOUT : may_read(s) ? POLLIN : 0 },
                [TO_BROKER] = { .fd = s->owes ? s->up.num : -1, .events = POLLOUT },
                [BACKEND] = { .fd = waits ? s->ledger.backend.num : -1, .events = POLLOUT },
        };
        unsigned n = inband_polls(s, polls + POLLS);

        if (wait_for(s, polls, POLLS + n, most_ms) < 0 && errno != EINTR) {
                session_end(s, SESSION_BROKER_FAILED, "poll: %s", log_errno(errno));
                return;
        }
        if (polls[FROM_BROKER].revents)
                from_broker(s);
        if (!s->over && polls[WORKER].revents & POLLOUT && s->link.unsent)
                link_send(s);
        if (!s->over && polls[WORKER].revents & ~POLLOUT && fd_has(&s->link.channel))
                link_receive(s);
        if (!s->over)
                inband_step(s, polls + POLLS, n);
        if (!s->over && polls[FRONT].revents)
                on_front(s, polls[FRONT].revents);
        if (!s->over && polls[TO_BROKER].revents)
                pay_broker(s);
        if (!s->over && polls[BACKEND].revents)
                backend_pay(s);
        if (!s->over && s->resize_due && s->has_device && link_idle(&s->link) && !s->handling)
                propose_resize(s);
        if (!s->over)
                check_deadlines(s);
}
