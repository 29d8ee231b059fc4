/*
 * The device's state is its config space: all else stands in guest memory and in the vrings' bases. What is loaded was
 * written by a stranger; it passes the same check as a guest's write to the config space.
 */
#include "device_state.h"

#include "stream.h"
#include "virtio.h"
#include "vring_fds.h"
#include "worker.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MAGIC = 0x54534256, VERSION = 1 }; /* "VBST" */

struct state_head {
        le32 magic, version;
        le32 device; /* virtio device id */
        le32 config_size;
};
static_assert(sizeof(struct state_head) == 16, "head of a device's state");
static_assert(sizeof(struct state_head) + VU_CONFIG_MAX < DEVICE_STATE_MAX, "more than this is too much");

void device_mode_keep(struct worker *w)
{
        if (w->device->mode)
                inflight_area_set_mode(&w->area, w->device->mode(w->device_state));
}

void device_mode_take(struct worker *w)
{
        uint64_t mode = inflight_area_mode(&w->area);

        if (w->device->mode && mode && !w->device->mode(w->device_state)) {
                w->device->set_mode(w->device_state, mode, w->face.config);
                link_config(w, false);
        }
        device_mode_keep(w);
}

void device_state_init(struct device_state *state)
{
        *state = (struct device_state){ .fd = FD_NONE };
}

static void state_fill(struct worker *w)
{
        const struct state_head head = { .magic = htole32(MAGIC), .version = htole32(VERSION),
                                         .device = htole32(w->device->id),
                                         .config_size = htole32(w->face.config_size) };

        memcpy(w->state.bytes, &head, sizeof(head));
        memcpy(w->state.bytes + sizeof(head), w->face.config, w->face.config_size);
        w->state.len = sizeof(head) + w->face.config_size;
}

/* Bytes that the guest cannot write must be what they are here: it has seen them. */
static int state_take(struct worker *w)
{
        const struct device_state *state = &w->state;
        struct state_head head;

        if (state->n < sizeof(head))
                return -ENODATA;
        memcpy(&head, state->bytes, sizeof(head));
        if (le32toh(head.magic) != MAGIC || le32toh(head.version) != VERSION || le32toh(head.device) != w->device->id)
                return -EPROTO;
        if (le32toh(head.config_size) != w->face.config_size || state->n != sizeof(head) + w->face.config_size)
                return -EMSGSIZE;
        if (!w->face.config_size)
                return 0;
        if (!w->device->set_config)
                return memcmp(state->bytes + sizeof(head), w->face.config, w->face.config_size) ? -EINVAL : 0;
        return w->device->set_config(w->device_state, 0, state->bytes + sizeof(head), w->face.config_size,
                                     w->face.config);
}

static void state_end(struct worker *w, int result)
{
        loop_unwatch(&w->loop[0], w->state.fd.num);
        fd_close(&w->state.fd); /* for a reader that is its end of file */
        w->state.result = result;
        if (result < 0)
                log_warning(&w->log, "%s of the device's state: %s", w->state.load ? "loading" : "saving",
                            log_errno(result));
        if (result < 0 || !w->state.load)
                return;
        device_mode_keep(w);
        link_config(w, false);
}

static int state_load(struct worker *w)
{
        struct device_state *state = &w->state;

        for (;;) {
                ssize_t got = stream_read(state->fd.num, state->bytes + state->n, sizeof(state->bytes) - state->n);

                if (got < 0)
                        return -errno;
                if (got == 0)
                        return state_take(w);
                state->n += (size_t) got;
                if (state->n == sizeof(state->bytes))
                        return -EMSGSIZE;
        }
}

static int state_save(struct worker *w)
{
        struct device_state *state = &w->state;

        while (state->n < state->len) {
                ssize_t put = stream_write(state->fd.num, state->bytes + state->n, state->len - state->n);

                if (put < 0)
                        return -errno;
                state->n += (size_t) put;
        }
        return 0;
}

void device_state_step(struct worker *w)
{
        int r;

        if (!device_state_busy(&w->state))
                return;
        r = w->state.load ? state_load(w) : state_save(w);
        if (r != -EAGAIN)
                state_end(w, r);
}

int device_state_begin(struct worker *w, bool load, struct fd fd)
{
        struct device_state *state = &w->state;
        int r;

        if (device_state_busy(state))
                state_end(w, -ECANCELED);
        state->fd = fd;
        state->load = load;
        state->made = true;
        state->result = -ECANCELED;
        state->n = 0;
        if (!load)
                state_fill(w);
        r = call_adopt(fd.num);
        if (r == 0)
                r = loop_watch_state(&w->loop[0], fd.num, load);
        if (r < 0)
                fd_close(&state->fd);
        else
                device_state_step(w); /* an end that is the wrong one never becomes ready */
        return r;
}

bool device_state_busy(const struct device_state *state)
{
        return fd_has(&state->fd);
}

int device_state_result(const struct device_state *state)
{
        return state->made ? state->result : -ENODATA;
}
