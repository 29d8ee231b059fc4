/*
 * One function per vhost-user message of a front-end.  Those without a reply of their own ask for an ack if REPLY_ACK
 * is in force and conn->need_reply says so (fe_tell); fds are borrowed.  -EREMOTEIO: refused by the back-end.
 */
#pragma once

#include "fe_conn.h"

int fe_get_u64(struct fe_conn *conn, uint32_t request, uint64_t *ret_value);
int fe_set_u64(struct fe_conn *conn, uint32_t request, uint64_t value);

int fe_get_features(struct fe_conn *conn, uint64_t *ret_features);
int fe_set_features(struct fe_conn *conn, uint64_t features);
int fe_get_protocol_features(struct fe_conn *conn, uint64_t *ret_features);

/* In force from this very message on, which therefore is the first that may carry NEED_REPLY. */
int fe_set_protocol_features(struct fe_conn *conn, uint64_t features);

int fe_set_owner(struct fe_conn *conn);
int fe_get_queue_num(struct fe_conn *conn, uint64_t *ret_queues);
int fe_get_max_mem_slots(struct fe_conn *conn, uint64_t *ret_slots);

/* n regions, their fds in the same order; n at most 8 for a legal message. */
int fe_set_mem_table(struct fe_conn *conn, const struct vu_region *regions, const int *fds, unsigned n);
int fe_add_mem_reg(struct fe_conn *conn, const struct vu_region *region, int fd);
int fe_rem_mem_reg(struct fe_conn *conn, const struct vu_region *region);

int fe_set_vring_num(struct fe_conn *conn, uint32_t index, uint32_t size);
int fe_set_vring_addr(struct fe_conn *conn, const struct vu_vring_addr *addr);
int fe_set_vring_base(struct fe_conn *conn, uint32_t index, uint32_t base);
int fe_get_vring_base(struct fe_conn *conn, uint32_t index, uint32_t *ret_base);
int fe_set_vring_enable(struct fe_conn *conn, uint32_t index, bool on);

/* SET_VRING_KICK, CALL or ERR; fd -1: sends the no-fd bit. */
int fe_set_vring_fd(struct fe_conn *conn, uint32_t request, uint32_t index, int fd);

/* Size and offset of the area as returned by the back-end, the fd owned by the caller. -ENODATA: it gave none. */
int fe_get_inflight_fd(struct fe_conn *conn, uint16_t queues, uint16_t size, struct vu_inflight *ret_inflight,
                       struct fd *ret_fd);
int fe_set_inflight_fd(struct fe_conn *conn, const struct vu_inflight *inflight, int fd);

/* n bytes from `offset` of the config space. -ENODATA: the error form; -EBADMSG: any other length than asked. */
int fe_get_config(struct fe_conn *conn, uint32_t offset, void *to, uint32_t n);
int fe_set_config(struct fe_conn *conn, uint32_t offset, const void *from, uint32_t n, uint32_t flags);

int fe_get_status(struct fe_conn *conn, uint64_t *ret_status);
int fe_set_status(struct fe_conn *conn, uint64_t status);
int fe_reset_device(struct fe_conn *conn);

/* Makes a socket pair and gives one end away; the other, for fe_recv, becomes *ret_channel. */
int fe_set_backend_req_fd(struct fe_conn *conn, struct fe_conn *ret_channel);
