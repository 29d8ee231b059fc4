/*
 * Taking messages off the front-end's stream, one at a time.
 */
#pragma once

#include "fd.h"
#include "vhost_user.h"

#include <stdbool.h>
#include <stddef.h>

enum { VU_FDS_ROOM = 16 }; /* more than a message may bring, so that too many are seen as such */

/* The message at hand, whole or not yet. Zeroed means none. */
struct vu_msg {
        struct vu_header header;
        union {
                uint8_t bytes[VU_PAYLOAD_MAX];
                uint64_t u64;
                struct vu_vring_state vring;
                struct vu_vring_addr addr;
                struct vu_mem_table table;
                struct vu_mem_reg region;
                struct vu_config config;
                struct vu_inflight inflight;
                struct vu_log log;
                struct vu_iotlb iotlb;
                struct vu_device_state state;
        };
        struct fd fd[VU_FDS_ROOM]; /* owned by the message until taken */
        unsigned n_fds;
        size_t got; /* bytes of header and payload so far */
};

/*
 * Reads on, without blocking, never past the end of this message. 0: it is whole. -EAGAIN: more has to come;
 * -ENODATA: the front-end has left between two messages; else the framing is broken (vhost-user, "Header").
 */
int vu_recv(int socket, struct vu_msg *msg);

/* Closes the descriptors that nobody took, and makes room for the next message. */
void vu_msg_done(struct vu_msg *msg);
