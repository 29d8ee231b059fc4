/*
 * One vhost-user connection as a front-end sees it: any message out, well-formed or not, and replies in under a
 * deadline and a strict reading.  The typed messages are in fe_msg.h.
 */
#pragma once

#include "fd.h"
#include "vhost_user.h"

#include <stddef.h>
#include <stdint.h>

enum { FE_TIMEOUT_MS = 10000, FE_SEND_FDS_MAX = 253 };

struct fe_conn {
        struct fd fd;
        int timeout_ms;             /* for each wait */
        uint64_t protocol_features; /* in force: as last sent */
        bool need_reply;            /* ask for an ack wherever REPLY_ACK allows it */
};

struct fe_reply {
        struct vu_header header;
        union {
                uint64_t u64;
                struct vu_vring_state state;
                struct vu_config config;
                struct vu_inflight inflight;
                uint8_t bytes[VU_PAYLOAD_MAX];
        };
        struct fd fd[VU_FDS_MAX]; /* owned by the reply until taken; fe_reply_done */
        unsigned n_fds;
};

#define FE_CONN_NONE ((struct fe_conn){ .fd = { -1 }, .timeout_ms = FE_TIMEOUT_MS, .need_reply = true })

/* Connects to the socket, waiting until it exists and listens. -ETIMEDOUT. */
int fe_connect(const char *path, int timeout_ms, struct fe_conn *ret_conn);

/* A connection out of a connected socket, which it owns from now on. */
struct fe_conn fe_adopt(struct fd socket);

/* Closes it; harmless on FE_CONN_NONE. */
void fe_close(struct fe_conn *conn);

/* Sends bytes as they are, the borrowed fds with the first of them. -EPIPE, -ECONNRESET: the peer is gone. */
int fe_send_raw(struct fe_conn *conn, const void *bytes, size_t n, const int *fds, unsigned n_fds);

/* Sends one message with just these flags and returns; fds borrowed. */
int fe_send_flags(struct fe_conn *conn, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
                  const int *fds, unsigned n_fds);

/* The same with flags 1 (version 1, no NEED_REPLY). */
int fe_send(struct fe_conn *conn, uint32_t request, const void *payload, uint32_t size);

/* Receives one message, whatever it is. -ETIMEDOUT, -ECONNRESET: closed; -EMSGSIZE: longer than any legal one. */
int fe_recv(struct fe_conn *conn, struct fe_reply *ret_reply);

/* Closes the fds that came with it. */
void fe_reply_done(struct fe_reply *reply);

/* Receives the reply to `request`: same number, flags exactly 5, else -EBADMSG. */
int fe_recv_reply(struct fe_conn *conn, uint32_t request, struct fe_reply *ret_reply);

/* Sends a message that has a reply of its own, and receives it. */
int fe_ask(struct fe_conn *conn, uint32_t request, const void *payload, uint32_t size, struct fe_reply *ret_reply);

/* Receives the generic ack of `request`. -EREMOTEIO: a non-zero one; -EBADMSG: not an ack. */
int fe_recv_ack(struct fe_conn *conn, uint32_t request);

/*
 * Sends a message without reply of its own; with REPLY_ACK in force and conn->need_reply, waits for the ack.
 * -EREMOTEIO: refused.
 */
int fe_tell(struct fe_conn *conn, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned n_fds);

/* Waits until the peer has closed. -ETIMEDOUT: it has not; -EBADMSG: it said something instead. */
int fe_gone(struct fe_conn *conn);
