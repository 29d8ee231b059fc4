/*
 * Proposals: packets to the worker, each built from the ledger or from what is about to enter it.
 */
#pragma once

#include "ipc.h"
#include "ledger.h"

/* One packet downward; its descriptors are borrowed from the ledger or from the message at hand. */
struct proposal {
        enum ipc_type type;
        uint16_t length; /* bytes of the body */
        union {
                struct ipc_features features;
                struct ipc_mem_table mem_table;
                struct ipc_region_add region_add;
                struct ipc_region_del region_del;
                struct ipc_inflight inflight;
                struct ipc_iotlb iotlb;
                struct ipc_dirty_log dirty_log;
                struct ipc_vring_start start;
                struct ipc_vring_stop stop;
                struct ipc_vring_forget forget;
                struct ipc_vring_enable enable;
                struct ipc_vring_fd_change vring_fd;
                struct ipc_vring_log vring_log;
                struct ipc_set_config config;
                struct ipc_state_fd state_fd;
                struct ipc_resize resize;
                struct ipc_postcopy postcopy;
        };
        int fd[PACKET_FDS_MAX];
        unsigned n_fds;
};

/* One function per packet type that carries more than a number or two; each fills *ret whole. */
void proposal_features(struct proposal *ret, uint64_t acked, bool log_all, bool iommu,
                       bool enable_all);
void proposal_region_add(struct proposal *ret, unsigned slot, const struct ipc_region *at, int fd);
void proposal_inflight(struct proposal *ret, const struct ledger_inflight *area);
void proposal_dirty_log(struct proposal *ret, const struct ledger_log *log);
void proposal_dirty_log_fd(struct proposal *ret, int fd); /* -1: none */
void proposal_set_config(struct proposal *ret, uint32_t offset, const uint8_t *bytes, uint32_t size);
void proposal_vring_stop(struct proposal *ret, uint32_t index, bool suspend);

/* `kick`: the descriptor to start with, -1: polled. `resume` as in struct ipc_vring_start. */
void proposal_vring_start(struct proposal *ret, const struct ledger_vring *vring, uint32_t index, int kick,
                          bool resume);
