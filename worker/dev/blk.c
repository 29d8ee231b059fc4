/*
 * The block device: how it is put together from its config, an engine and the loops.
 */
#include "blk.h"

#include "array.h"
#include "blk_config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static bool power_of_two(uint64_t n)
{
        return n && (n & (n - 1)) == 0;
}

static bool capacity_ok(const struct ipc_block *b, uint64_t bytes)
{
        return bytes % b->block_size == 0 && bytes <= INT64_MAX;
}

/* The broker has checked all this; a wrong number here would be a division by zero later. */
static int check_setup(const struct ipc_block *b)
{
        if (!power_of_two(b->block_size) || b->block_size < VIRTIO_BLK_SECTOR || b->block_size > 4096 ||
            !power_of_two(b->physical_size) || b->physical_size < b->block_size || b->physical_size > 1 << 20)
                return -EINVAL;
        if (!capacity_ok(b, b->capacity) || b->engine >= IPC_ENGINES)
                return -EINVAL;
        if (b->direct_memory && (!power_of_two(b->direct_memory) || b->direct_memory > BOUNCE_BYTES ||
                                 !power_of_two(b->direct_offset) || b->direct_offset > b->block_size))
                return -EINVAL;
        return 0;
}

static const struct engine *const engines[IPC_ENGINES] = {
        [IPC_ENGINE_URING] = &engine_uring,
        [IPC_ENGINE_SYNC] = &engine_sync,
        [IPC_ENGINE_NULL] = &engine_null,
};

static bool refused_by_kernel(int error)
{
        return error == -ENOSYS || error == -EPERM;
}

static int engine_start(struct blk *blk, const struct engine_setup *setup)
{
        bool automatic = blk->setup.engine == IPC_ENGINE_AUTO;
        int r;

        blk->engine = automatic ? &engine_uring : engines[blk->setup.engine];
        r = blk->engine->open(setup, &blk->engine_state);
        if (automatic && refused_by_kernel(r)) {
                log_notice(setup->log, "no io_uring (%s): engine sync", log_errno(r));
                blk->engine = &engine_sync;
                r = blk->engine->open(setup, &blk->engine_state);
        }
        if (r < 0)
                log_error(setup->log, "engine %s: %s", blk->engine->name, log_errno(r));
        return r;
}

/* FLUSH not acked: the driver knows of no cache. CONFIG_WCE: the guest decides (virtio 1.3, 5.2.6.2). */
static void update_stable(struct blk *blk)
{
        blk->stable = !(blk->acked & VIRTIO_BIT(VIRTIO_BLK_F_FLUSH)) ||
                      (blk->acked & VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) && !blk->writeback);
}

static int make_zeroes(struct blk *blk)
{
        void *zeroes = mmap(NULL, BLK_ZEROES_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (zeroes == MAP_FAILED)
                return -errno;
        blk->zeroes = zeroes;
        return 0;
}

static int blk_make(const struct device_setup *setup, struct blk **ret_blk)
{
        const struct ipc_device *device = setup->device;
        uint64_t features = blk_features(device);
        struct blk *blk = calloc(1, sizeof(*blk));

        if (!blk)
                return -ENOMEM;
        *ret_blk = blk;
        blk->setup = device->block;
        blk->limits = (struct blk_limits){ .capacity = device->block.capacity,
                                           .block_size = device->block.block_size,
                                           .read_only = device->block.read_only,
                                           .discard = features & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD),
                                           .write_zeroes = features & VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) };
        blk->writeback = true;
        update_stable(blk);
        blk->loop = calloc(setup->loops, sizeof(*blk->loop));
        return blk->loop ? make_zeroes(blk) : -ENOMEM;
}

/* What it makes lives as long as the process. */
static int blk_open(const struct device_setup *setup, struct device_face *ret_face, void **ret_device)
{
        const struct ipc_device *device = setup->device;
        struct blk *blk = NULL;
        struct engine_setup engine = { .disk = setup->resource->num,
                                       .fence = setup->fence,
                                       .loops = setup->loops,
                                       .queues = device->queues,
                                       .direct = device->block.direct_memory,
                                       .log = setup->log };
        int r = check_setup(&device->block);

        if (r == 0 && !fd_has(setup->resource) && device->block.engine != IPC_ENGINE_NULL)
                r = -EBADF;
        if (r == 0)
                r = blk_make(setup, &blk);
        if (r < 0) {
                log_error(setup->log, "block device: %s", log_errno(r));
                return r;
        }
        r = engine_start(blk, &engine);
        if (r < 0)
                return r;
        ret_face->features = blk_features(device);
        ret_face->queues = device->queues;
        ret_face->engine = blk->engine->id;
        ret_face->config_size = blk_config_fill(device, ret_face->config);
        *ret_device = blk;
        return 0;
}

static int blk_loop_open(void *device, unsigned loop, void **ret_local, int *ret_wait_fd)
{
        struct blk *blk = device;
        struct blk_loop *l = &blk->loop[loop];
        int r;

        l->blk = blk;
        r = bounce_init(&l->bounce);
        if (r < 0)
                return r;
        *ret_local = l;
        return blk->engine->loop_open(blk->engine_state, loop, &l->engine, ret_wait_fd);
}

static void blk_settle(void *device)
{
        struct blk *blk = device;

        if (blk->engine->settle)
                blk->engine->settle(blk->engine_state);
}

static void blk_flush(void *local)
{
        struct blk_loop *l = local;

        l->blk->engine->flush(l->engine);
}

static bool blk_reap(void *local)
{
        struct blk_loop *l = local;
        bool any = false;
        struct io *io;

        while ((io = l->blk->engine->reap(l->engine))) {
                blk_io_done(io);
                any = true;
        }
        return any;
}

static bool blk_pending(const void *local)
{
        const struct blk_loop *l = local;

        return l->blk->engine->pending(l->engine);
}

static bool blk_arm(void *local)
{
        struct blk_loop *l = local;

        return l->blk->engine->arm && l->blk->engine->arm(l->engine);
}

static void blk_set_features(void *device, uint64_t acked)
{
        struct blk *blk = device;

        blk->acked = acked;
        update_stable(blk);
}

static int blk_set_config(void *device, uint32_t offset, const uint8_t *bytes, uint32_t n, uint8_t *config)
{
        struct blk *blk = device;
        int r = blk_config_write(config, offset, bytes, n, &blk->writeback);

        update_stable(blk);
        return r;
}

enum { MODE_WRITE_THROUGH = 1 };

static uint64_t blk_mode(const void *device)
{
        const struct blk *blk = device;

        return blk->writeback ? 0 : MODE_WRITE_THROUGH;
}

static void blk_set_mode(void *device, uint64_t mode, uint8_t *config)
{
        const uint8_t writeback = !(mode & MODE_WRITE_THROUGH);

        blk_set_config(device, offsetof(struct virtio_blk_config, writeback), &writeback, 1, config);
}

static int blk_resize(void *device, uint64_t capacity, uint8_t *config)
{
        struct blk *blk = device;

        if (!capacity || !capacity_ok(&blk->setup, capacity))
                return -EINVAL;
        blk->limits.capacity = capacity;
        blk_config_resize(config, capacity);
        return 0;
}

/* The writeback byte stays: front-ends answer the next driver from what they have read and written before. */
static void blk_reset(void *device)
{
        blk_set_features(device, 0);
}

const struct device device_blk = {
        .id = VIRTIO_ID_BLOCK,
        .name = "block",
        .request_bytes = sizeof(struct blk_request),
        .open = blk_open,
        .loop_open = blk_loop_open,
        .settle = blk_settle,
        .serve = blk_serve,
        .flush = blk_flush,
        .reap = blk_reap,
        .pending = blk_pending,
        .arm = blk_arm,
        .set_features = blk_set_features,
        .set_config = blk_set_config,
        .resize = blk_resize,
        .reset = blk_reset,
        .mode = blk_mode,
        .set_mode = blk_set_mode,
};
