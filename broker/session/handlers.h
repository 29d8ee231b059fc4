/*
 * The handlers of vu_rules.c, by the file that has them. The gate has checked number, size, descriptors, negotiation
 * and state; a handler checks meaning. Returns as vu_handler; a failure leaves ledger and worker as they were.
 */
#pragma once

#include "vu_rules.h"

/* negotiate.c */
vu_handler get_features, set_features, set_owner, reset_owner, get_protocol_features, set_protocol_features;
vu_handler get_queue_num, reset_device, set_status, get_status;

/* memory.c */
vu_handler set_mem_table, get_max_mem_slots, add_mem_reg, rem_mem_reg;

/* vrings.c */
vu_handler set_vring_num, set_vring_addr, set_vring_base, get_vring_base, set_vring_kick, set_vring_call;
vu_handler set_vring_err, set_vring_enable;

/* inband.c */
vu_handler vring_kick;

/* inflight.c */
vu_handler get_inflight_fd, set_inflight_fd;

/* dirty_log.c */
vu_handler set_log_base, set_log_fd;

/* device_state.c */
vu_handler set_device_state_fd, check_device_state;

/* postcopy.c */
vu_handler postcopy_advise, postcopy_listen, postcopy_end;

/* device_config.c */
vu_handler get_config, set_config;

/* Tells the worker the disk's new size; the link must be idle, and no message be at hand. */
void propose_resize(struct session *s);

/* iotlb.c */
vu_handler iotlb_msg;

/* backend.c */
vu_handler set_backend_req_fd;
