/*
 * What is common to virtqueues of every format: eventfds and waiting.
 */
#include "drv_vring.h"
#include "fe_time.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int drv_vring_init(struct drv_vring *v)
{
        v->kick.num = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        v->call.num = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        v->err.num = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return v->kick.num < 0 || v->call.num < 0 || v->err.num < 0 ? -errno : 0;
}

int drv_add(struct drv_vring *v, const struct drv_seg *segs, unsigned n, enum drv_how how, void *cookie)
{
        int r;

        if (!n || n > DRV_SEGS_MAX)
                return -E2BIG;
        r = v->format->add(v, segs, n, how, cookie);
        if (!r)
                v->in_flight++;
        return r;
}

static void write_kick(struct drv_vring *v)
{
        v->kicks++;
        (void) !eventfd_write(v->kick.num, 1); /* EAGAIN: the counter is full, so it is signalled already */
}

void drv_kick(struct drv_vring *v)
{
        if (v->format->publish(v))
                write_kick(v);
}

void drv_kick_anyway(struct drv_vring *v)
{
        v->format->publish(v);
        write_kick(v);
}

int drv_pop(struct drv_vring *v, struct drv_used *ret_used)
{
        int r = v->format->pop(v, ret_used);

        if (r > 0)
                v->in_flight--;
        return r;
}

int drv_wait(struct drv_vring *v, long long deadline)
{
        eventfd_t count;
        int r;

        for (;;) {
                v->format->want_calls(v, true);
                if (v->format->pending(v))
                        return 0;
                r = fe_poll(v->call.num, POLLIN, deadline);
                if (r)
                        return v->format->pending(v) ? -ENOMSG : r; /* work without a call: a lost one */
                if (!eventfd_read(v->call.num, &count))
                        v->calls++;
        }
}

int drv_take(struct drv_vring *v, int timeout_ms, struct drv_used *ret_used)
{
        int r = drv_wait(v, fe_deadline(timeout_ms));

        if (r)
                return r;
        r = drv_pop(v, ret_used);
        return r < 0 ? r : 0;
}

void drv_want_calls(struct drv_vring *v, bool on)
{
        v->format->want_calls(v, on);
}

uint32_t drv_base(const struct drv_vring *v)
{
        return v->format->base(v);
}

uint32_t drv_used_base(const struct drv_vring *v)
{
        return v->format->used_base(v);
}

void drv_rebase(struct drv_vring *v, uint16_t at)
{
        v->format->rebase(v, at);
}

int drv_place_part(struct fe_mem *mem, struct drv_place place, uint64_t size, uint64_t align, struct fe_buf *ret)
{
        int r = fe_mem_alloc(mem, place.region, size + place.skew * align, place.skew ? 4096 : align, ret);

        ret->at += place.skew * align;
        ret->gpa += place.skew * align;
        return r;
}

void drv_free(struct drv_vring *v)
{
        if (!v)
                return;
        fd_close(&v->kick);
        fd_close(&v->call);
        fd_close(&v->err);
        v->format->free(v);
}
