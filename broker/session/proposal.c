/*
 * Proposals: packets to the worker.
 */
#include "proposal.h"

#include <string.h>

static void add_fd(struct proposal *proposal, int fd, uint32_t which)
{
        if (fd < 0)
                return;
        proposal->fd[proposal->n_fds++] = fd;
        proposal->start.fds |= which;
}

void proposal_features(struct proposal *ret, uint64_t acked, bool log_all, bool iommu, bool enable_all)
{
        *ret = (struct proposal){ .type = IPC_FEATURES, .length = sizeof(ret->features),
                                  .features = { .acked = acked, .log_all = log_all, .iommu = iommu,
                                                .enable_all = enable_all } };
}

void proposal_region_add(struct proposal *ret, unsigned slot, const struct ipc_region *at, int fd)
{
        *ret = (struct proposal){ .type = IPC_REGION_ADD, .length = sizeof(ret->region_add),
                                  .region_add = { .slot = slot, .region = *at }, .fd = { fd }, .n_fds = 1 };
}

void proposal_inflight(struct proposal *ret, const struct ledger_inflight *area)
{
        *ret = (struct proposal){ .type = IPC_INFLIGHT, .length = sizeof(ret->inflight),
                                  .inflight = { .size = area->size, .offset = area->offset,
                                                .queues = area->queues, .queue_size = area->queue_size },
                                  .fd = { area->fd.num }, .n_fds = 1 };
}

void proposal_dirty_log(struct proposal *ret, const struct ledger_log *log)
{
        *ret = (struct proposal){ .type = IPC_DIRTY_LOG, .length = sizeof(ret->dirty_log),
                                  .dirty_log = { .size = log->size, .offset = log->offset },
                                  .fd = { log->fd.num }, .n_fds = 1 };
}

void proposal_dirty_log_fd(struct proposal *ret, int fd)
{
        *ret = (struct proposal){ .type = IPC_DIRTY_LOG_FD, .fd = { fd }, .n_fds = fd >= 0 };
}

void proposal_set_config(struct proposal *ret, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
        *ret = (struct proposal){ .type = IPC_SET_CONFIG, .length = sizeof(ret->config),
                                  .config = { .offset = offset, .size = size } };
        memcpy(ret->config.bytes, bytes, size);
}

void proposal_vring_stop(struct proposal *ret, uint32_t index, bool suspend)
{
        *ret = (struct proposal){ .type = IPC_VRING_STOP, .length = sizeof(ret->stop),
                                  .stop = { .index = index, .suspend = suspend } };
}

void proposal_vring_start(struct proposal *ret, const struct ledger_vring *vring, uint32_t index, int kick,
                          bool resume)
{
        *ret = (struct proposal){ .type = IPC_VRING_START, .length = sizeof(ret->start),
                                  .start = { .index = index, .size = vring->size, .desc = vring->addr.desc,
                                             .avail = vring->addr.avail, .used = vring->addr.used,
                                             .base = vring->base, .enabled = vring->enabled, .resume = resume } };
        if (vring->addr.flags & VU_VRING_F_LOG) {
                ret->start.flags = VU_VRING_F_LOG;
                ret->start.log = vring->addr.log;
        }
        add_fd(ret, kick, IPC_KICK);
        add_fd(ret, vring->call.num, IPC_CALL);
        add_fd(ret, vring->err.num, IPC_ERR);
}
