/*
 * Loops: wait in one system call, work in rounds, poll for a while if that pays.
 */
#include "loop.h"

#include "clock_now.h"
#include "stream.h"
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        EVENTS_MAX = 32,   /* per wait */
        ROUNDS_MAX = 16,   /* before the loop looks at its channel again */
        POLLS_MAX = 256,   /* likewise, while polling */
        SPINS = 32,        /* looks between two looks at the clock */
        UNKICKED_MS = 1,   /* a vring without kick is looked at this often when idle */
        STACK = 128 << 10, /* bytes of a loop's own stack, filled lazily */
};

/* What an event means: one of these, or TAG_KICK + index of the vring. */
enum { TAG_CHANNEL, TAG_WAKE, TAG_DEVICE, TAG_STATE, TAG_KICK };

static void relax(void)
{
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
}

static int watch(const struct loop *l, int fd, uint32_t events, uint64_t tag)
{
        struct epoll_event event = { .events = events, .data.u64 = tag };

        return epoll_ctl(l->epoll.num, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int loop_init(struct loop *l, struct worker *w, unsigned index, uint32_t poll_max_us)
{
        void *scratch = mmap(NULL, sizeof(struct chain_scratch), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (scratch == MAP_FAILED)
                return -errno;
        *l = (struct loop){ .worker = w, .index = index, .scratch = scratch,
                            .window = { .most = (uint64_t) poll_max_us * 1000 },
                            .stats.page = (struct stats_page *) ((char *) w->stats + (size_t) index * STATS_PAGE) };
        l->epoll.num = epoll_create1(EPOLL_CLOEXEC);
        l->wake.num = l->epoll.num < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->wake.num < 0)
                return -errno;
        /* Edge-triggered: each write is an event, so it need never be read. */
        return watch(l, l->wake.num, EPOLLIN | EPOLLET, TAG_WAKE);
}

int loop_open(struct loop *l)
{
        struct worker *w = l->worker;
        int wait_fd = -1;
        int r = w->device->loop_open(w->device_state, l->index, &l->local, &wait_fd);

        return r < 0 || wait_fd < 0 ? r : watch(l, wait_fd, EPOLLIN | EPOLLET, TAG_DEVICE);
}

int loop_watch_channel(struct loop *l, int channel)
{
        return watch(l, channel, EPOLLIN, TAG_CHANNEL);
}

void loop_hold_channel(struct loop *l, int channel, bool held)
{
        struct epoll_event event = { .events = held ? 0 : EPOLLIN, .data.u64 = TAG_CHANNEL };

        epoll_ctl(l->epoll.num, EPOLL_CTL_MOD, channel, &event);
}

int loop_watch_kick(struct loop *l, const struct vring *vr, int kick)
{
        return watch(l, kick, EPOLLIN | EPOLLET, TAG_KICK + vr->index);
}

int loop_watch_state(const struct loop *l, int fd, bool load)
{
        return watch(l, fd, load ? EPOLLIN : EPOLLOUT, TAG_STATE);
}

void loop_unwatch(struct loop *l, int fd)
{
        epoll_ctl(l->epoll.num, EPOLL_CTL_DEL, fd, NULL);
}

void loop_wake(const struct loop *l)
{
        uint64_t one = 1;

        if (stream_write(l->wake.num, &one, sizeof(one)) < 0)
                abort(); /* its counter cannot be full */
}

void loops_park(struct worker *w)
{
        if (w->n_loops == 1)
                return;
        park_want(&w->park);
        for (unsigned i = 1; i < w->n_loops; i++)
                loop_wake(&w->loop[i]);
        park_close(&w->park, w->n_loops - 1);
}

void loops_unpark(struct worker *w)
{
        if (w->n_loops > 1)
                park_open(&w->park);
}

/* The vrings of a loop: index, index + loops, ... */
static struct vring *vring_first(const struct loop *l)
{
        return l->index < l->worker->n_vrings ? &l->worker->vring[l->index] : NULL;
}

static struct vring *vring_next(const struct loop *l, const struct vring *vr)
{
        unsigned next = vr->index + l->worker->n_loops;

        return next < l->worker->n_vrings ? &l->worker->vring[next] : NULL;
}

/* Serve, submit, reap, publish. True if anything moved. */
static bool loop_round(struct loop *l)
{
        const struct device *device = l->worker->device;
        bool worked = false;

        for (struct vring *vr = vring_first(l); vr; vr = vring_next(l, vr))
                if (vr->kicked)
                        worked |= vring_serve(vr);
        if (worked)
                l->stats.now = 0;
        if (device->flush)
                device->flush(l->local);
        if (device->reap)
                worked |= device->reap(l->local);
        for (struct vring *vr = vring_first(l); vr; vr = vring_next(l, vr))
                worked |= vring_publish(vr);
        return worked;
}

static bool loop_work(struct loop *l)
{
        bool worked = false;

        for (int i = 0; i < ROUNDS_MAX; i++) {
                if (!loop_round(l))
                        return worked;
                worked = true;
        }
        l->more = true;
        return worked;
}

/* How long to sleep, ms; -1: until an event. */
static int loop_timeout(struct loop *l)
{
        const struct device *device = l->worker->device;
        int timeout = l->more || (device->arm && device->arm(l->local)) ? 0 : -1;

        for (struct vring *vr = vring_first(l); vr; vr = vring_next(l, vr)) {
                if (vring_live(vr) && !fd_has(&vr->kick)) {
                        vr->kicked = true;
                        if (timeout < 0)
                                timeout = UNKICKED_MS;
                } else if (vr->kicked) {
                        timeout = 0;
                }
        }
        l->more = false;
        return timeout;
}

static void loop_note(struct loop *l, uint32_t events, uint64_t tag)
{
        switch (tag) {
        case TAG_CHANNEL:
                if (events & EPOLLHUP) /* the session is gone, whatever it said last */
                        _exit(EXIT_SUCCESS);
                l->channel = true;
                break;
        case TAG_WAKE:
        case TAG_STATE:
                l->woken = true;
                break;
        case TAG_DEVICE:
                break; /* every round reaps */
        default:
                stats_add(&l->stats.page->kicks, 1);
                vring_kicked(&l->worker->vring[tag - TAG_KICK]);
        }
}

static void loop_sleep(struct loop *l)
{
        struct epoll_event events[EVENTS_MAX];
        int timeout = loop_timeout(l);
        uint64_t since = l->window.most && timeout ? (uint64_t) clock_now_ns() : 0;
        int n = epoll_pwait(l->epoll.num, events, EVENTS_MAX, timeout, NULL);

        l->stats.now = since ? (uint64_t) clock_now_ns() : 0;
        if (since)
                poll_window_slept(&l->window, l->stats.now - since);
        for (int i = 0; i < n; i++)
                loop_note(l, events[i].events, events[i].data.u64);
}

/* What others want of this loop; after all events, for it may close what they named. */
static void loop_obey(struct loop *l)
{
        bool asked = l->channel || l->woken;

        l->channel = l->woken = false;
        if (asked)
                l->stats.now = 0;
        if (l->index == 0 && asked)
                link_serve(l->worker);
        else if (l->index != 0 && park_wanted(&l->worker->park))
                park_here(&l->worker->park);
}

static bool loop_pending(struct loop *l)
{
        const struct device *device = l->worker->device;
        bool found = device->pending && device->pending(l->local);

        for (struct vring *vr = vring_first(l); vr; vr = vring_next(l, vr))
                if (vring_live(vr) && vr->format->pending(vr))
                        found = vr->kicked = true;
        return found;
}

static void loop_poll_begin(struct loop *l)
{
        l->polling = true;
        for (struct vring *vr = vring_first(l); vr; vr = vring_next(l, vr))
                if (vring_live(vr))
                        vr->format->refuse_kicks(vr);
}

static void loop_poll_end(struct loop *l)
{
        l->polling = false;
        for (struct vring *vr = vring_first(l); vr; vr = vring_next(l, vr))
                if (vring_live(vr) && vr->format->ask_kicks(vr))
                        vr->kicked = true;
}

/* Looks for work until the window closes. */
static bool loop_spin(struct loop *l)
{
        uint64_t end;

        l->stats.now = (uint64_t) clock_now_ns();
        end = l->stats.now + l->window.now;
        do {
                for (int i = 0; i < SPINS; i++) {
                        if (loop_pending(l))
                                return true;
                        relax();
                }
                l->stats.now = (uint64_t) clock_now_ns();
        } while (!park_wanted(&l->worker->park) && l->stats.now < end);
        return false;
}

/* After work: poll as long as it pays, but never so long that the channel waits. */
static void loop_poll(struct loop *l)
{
        if (l->window.now == 0 || l->more)
                return;
        loop_poll_begin(l);
        for (int i = 0; i < POLLS_MAX && !l->more && !park_wanted(&l->worker->park) && loop_spin(l); i++) {
                poll_window_paid(&l->window);
                loop_work(l);
        }
        loop_poll_end(l);
}

_Noreturn void loop_run(struct loop *l)
{
        for (;;) {
                loop_sleep(l);
                loop_obey(l);
                if (loop_work(l))
                        loop_poll(l);
        }
}

static void *loop_main(void *context)
{
        struct loop *l = context;

        l->error = loop_open(l);
        park_here(&l->worker->park);
        loop_run(l);
}

int loop_spawn(struct loop *l)
{
        pthread_attr_t attributes;
        pthread_t thread;
        int r = pthread_attr_init(&attributes);

        if (r == 0)
                r = pthread_attr_setstacksize(&attributes, STACK);
        if (r == 0)
                r = pthread_create(&thread, &attributes, loop_main, l);
        pthread_attr_destroy(&attributes);
        return -r;
}
