/*
 * A device in use.
 */
#include "fe_device.h"
#include "fe_postcopy.h"
#include "fe_time.h"

#include <errno.h>
#include <stdlib.h>

#define FE_PROTOCOL_KNOWN                                                                                             \
        (VIRTIO_BIT(VU_PF_MQ) | VIRTIO_BIT(VU_PF_LOG_SHMFD) | VIRTIO_BIT(VU_PF_REPLY_ACK) |                           \
         VIRTIO_BIT(VU_PF_BACKEND_REQ) | VIRTIO_BIT(VU_PF_CONFIG) | VIRTIO_BIT(VU_PF_INFLIGHT_SHMFD) |                \
         VIRTIO_BIT(VU_PF_RESET_DEVICE) | VIRTIO_BIT(VU_PF_CONFIGURE_MEM_SLOTS) | VIRTIO_BIT(VU_PF_STATUS) | \
         VIRTIO_BIT(VU_PF_DEVICE_STATE) | VIRTIO_BIT(VU_PF_GET_VRING_BASE_INFLIGHT) | \
         VIRTIO_BIT(VU_PF_PAGEFAULT))

/* Device bits, and what the drivers of rings can do. */
#define FE_FEATURES_KNOWN                                                                                              \
        (UINT64_C(0xffffff) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |                    \
         VIRTIO_BIT(VU_F_PROTOCOL_FEATURES) | VIRTIO_BIT(VIRTIO_F_VERSION_1))

#define FE_FEATURES_OF_RINGS (VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_F_IN_ORDER))

static const struct fe_options fe_defaults = { 0 };

static bool has(const struct fe_device *device, unsigned bit)
{
        return device->conn.protocol_features & VIRTIO_BIT(bit);
}

static void fill_options(struct fe_options *o)
{
        o->queues = o->queues ? o->queues : 1;
        o->queue_size = o->queue_size ? o->queue_size : 128;
        o->features = (o->features ? o->features : FE_FEATURES_KNOWN) & ~FE_FEATURES_OF_RINGS;
        o->features |= o->packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0;
        o->features |= o->in_order ? VIRTIO_BIT(VIRTIO_F_IN_ORDER) : 0;
        o->protocol_features = o->protocol_features ? o->protocol_features : FE_PROTOCOL_KNOWN;
        o->mem_bytes = o->mem_bytes ? o->mem_bytes : 32 << 20;
        o->mem_gpa = o->mem_gpa ? o->mem_gpa : 1 << 20;
}

int fe_device_negotiate(struct fe_device *device)
{
        const struct fe_options *o = &device->options;
        struct fe_conn *conn = &device->conn;
        int r = fe_get_features(conn, &device->offered);

        if (r)
                return r;
        if (device->offered & VIRTIO_BIT(VU_F_PROTOCOL_FEATURES)) {
                r = fe_get_protocol_features(conn, &device->protocol_offered);
                if (!r)
                        r = fe_set_protocol_features(conn, device->protocol_offered & o->protocol_features);
        }
        if (!r)
                r = fe_set_owner(conn);
        device->features = device->offered & o->features;
        return r ? r : fe_set_features(conn, device->features);
}

int fe_device_memory(struct fe_device *device)
{
        const struct fe_options *o = &device->options;
        uint64_t second = o->adjoining ? o->mem_gpa + o->mem_bytes : o->mem_gpa + (UINT64_C(1) << 30);
        unsigned index;
        int r = fe_mem_add(device->mem, o->mem_gpa, o->mem_bytes, o->mem_offset, &index);

        if (r || !o->two_regions)
                return r;
        r = fe_mem_add(device->mem, second, o->mem_bytes, o->mem_offset, &index);
        if (!r)
                device->mem->part[index].region.uva += UINT64_C(1) << 40; /* neighbours in gpa only */
        return r;
}

int fe_device_send_memory(struct fe_device *device)
{
        struct vu_region regions[FE_REGIONS_MAX];
        int fds[FE_REGIONS_MAX], r = 0;
        bool slots = has(device, VU_PF_CONFIGURE_MEM_SLOTS) && !device->options.mem_table;

        for (unsigned i = 0; i < device->mem->n && !r; i++) {
                regions[i] = device->mem->part[i].region;
                fds[i] = device->mem->part[i].fd.num;
                if (slots)
                        r = fe_add_mem_reg(&device->conn, &regions[i], fds[i]);
        }
        return slots ? r : fe_set_mem_table(&device->conn, regions, fds, device->mem->n);
}

int fe_device_vrings(struct fe_device *device)
{
        const struct fe_options *o = &device->options;
        struct drv_place place = { .region = 0, .skew = o->skew };
        bool event_idx = device->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
        bool packed = device->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
        int r = 0;

        if (o->queues > FE_VRINGS_MAX)
                return -E2BIG;
        while (!r && device->n < o->queues) {
                place.region = o->last_apart && device->n == o->queues - 1;
                r = (packed ? drv_packed_new : drv_split_new)(device->mem, place, device->n, o->queue_size, event_idx,
                                                              &device->vring[device->n]);
                if (!r)
                        drv_rebase(device->vring[device->n++], o->base);
        }
        return r;
}

int fe_device_inflight(struct fe_device *device)
{
        const struct fe_options *o = &device->options;
        int r;

        if (o->no_inflight || !has(device, VU_PF_INFLIGHT_SHMFD))
                return 0;
        fd_close(&device->inflight_fd);
        r = fe_get_inflight_fd(&device->conn, o->queues, o->queue_size, &device->inflight, &device->inflight_fd);
        return r ? r : fe_set_inflight_fd(&device->conn, &device->inflight, device->inflight_fd.num);
}

struct vu_vring_addr fe_device_vring_addr(const struct fe_device *device, unsigned index)
{
        const struct drv_vring *v = device->vring[index];

        return (struct vu_vring_addr){
                .index = index,
                .desc = fe_mem_uva(device->mem, v->desc),
                .avail = fe_mem_uva(device->mem, v->driver),
                .used = fe_mem_uva(device->mem, v->device),
        };
}

int fe_device_start_vring(struct fe_device *device, unsigned index, uint32_t base)
{
        const struct drv_vring *v = device->vring[index];
        struct vu_vring_addr addr = fe_device_vring_addr(device, index);
        struct fe_conn *conn = &device->conn;
        int r = fe_set_vring_num(conn, index, v->size);

        if (!r)
                r = fe_set_vring_base(conn, index, base);
        if (!r)
                r = fe_set_vring_addr(conn, &addr);
        if (!r)
                r = fe_set_vring_fd(conn, VU_SET_VRING_CALL, index, v->call.num);
        if (!r)
                r = fe_set_vring_fd(conn, VU_SET_VRING_ERR, index, v->err.num);
        return r ? r : fe_set_vring_fd(conn, VU_SET_VRING_KICK, index, v->kick.num);
}

int fe_device_start_vrings(struct fe_device *device)
{
        int r = 0;

        for (unsigned i = 0; i < device->n && !r; i++)
                r = fe_device_start_vring(device, i, drv_base(device->vring[i]));
        if (device->options.disabled || !(device->features & VIRTIO_BIT(VU_F_PROTOCOL_FEATURES)))
                return r;
        for (unsigned i = 0; i < device->n && !r; i++)
                r = fe_set_vring_enable(&device->conn, i, true);
        return r;
}

int fe_device_start_on(struct fe_conn conn, const struct fe_options *options, struct fe_device *ret_device)
{
        struct fe_device *d = ret_device;
        int r;

        *d = (struct fe_device){ .options = options ? *options : fe_defaults, .conn = conn, .inflight_fd = FD_NONE };
        fill_options(&d->options);
        d->mem = calloc(1, sizeof(*d->mem));
        r = d->mem ? fe_device_negotiate(d) : -ENOMEM;
        if (!r && d->options.postcopy)
                r = fe_postcopy_advise(d, d->options.postcopy);
        if (!r)
                r = fe_device_memory(d);
        if (!r)
                r = fe_device_vrings(d);
        if (!r)
                r = fe_device_inflight(d);
        if (!r)
                r = d->options.postcopy ? fe_postcopy_memory(d, d->options.postcopy) : fe_device_send_memory(d);
        if (!r)
                r = fe_device_start_vrings(d);
        if (r)
                fe_device_drop(d);
        return r;
}

int fe_device_start(const char *path, const struct fe_options *options, struct fe_device *ret_device)
{
        struct fe_conn conn;
        int r = fe_connect(path, FE_TIMEOUT_MS, &conn);

        return r ? r : fe_device_start_on(conn, options, ret_device);
}

int fe_device_resume_on(struct fe_device *device, struct fe_conn conn)
{
        int r;

        fe_close(&device->conn);
        device->conn = conn;
        r = fe_device_negotiate(device);
        if (!r && fd_has(&device->inflight_fd))
                r = fe_set_inflight_fd(&device->conn, &device->inflight, device->inflight_fd.num);
        if (!r)
                r = fe_device_send_memory(device);
        if (r)
                return r;
        for (unsigned i = 0; i < device->n && !r; i++)
                r = fe_device_start_vring(device, i, drv_used_base(device->vring[i]));
        for (unsigned i = 0; i < device->n && !r; i++)
                r = fe_set_vring_enable(&device->conn, i, true);
        return r;
}

int fe_device_reconnect(struct fe_device *device, const char *path)
{
        struct fe_conn conn;
        int r = fe_connect(path, FE_TIMEOUT_MS, &conn);

        return r ? r : fe_device_resume_on(device, conn);
}

int fe_device_stop(struct fe_device *device)
{
        uint32_t base;
        int r = 0;

        for (unsigned i = 0; i < device->n && !r; i++) {
                r = fe_get_vring_base(&device->conn, i, &base);
                if (!r && base != drv_base(device->vring[i]))
                        r = -EBADE;
        }
        fe_device_drop(device);
        return r;
}

void fe_device_drop(struct fe_device *device)
{
        fe_close(&device->conn);
        fd_close(&device->inflight_fd);
        for (unsigned i = 0; i < device->n; i++)
                drv_free(device->vring[i]);
        device->n = 0;
        if (device->mem)
                fe_mem_done(device->mem);
        free(device->mem);
        device->mem = NULL;
}
