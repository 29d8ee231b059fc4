/*
 * Packets between our own processes: a header and a fixed struct per type, one packet per message, its descriptors
 * with it.  Carriers: SOCK_SEQPACKET sockets both ways, packet-mode pipes (O_DIRECT) from session to broker.
 * Both ends take the other for hostile.
 */
#pragma once

#include "fd.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum {
        PACKET_BODY_MAX = 1024, /* bytes after the header; with it well below PIPE_BUF */
        PACKET_FDS_MAX = 8,
};

struct packet_header {
        uint16_t type;
        uint16_t length; /* bytes of the body */
        uint32_t sequence;
};
static_assert(sizeof(struct packet_header) == 8, "packet header");

struct packet {
        struct packet_header header;
        union {
                uint8_t body[PACKET_BODY_MAX];
                uint64_t align;
        };
        struct fd fd[PACKET_FDS_MAX]; /* owned by the packet until taken */
        unsigned n_fds;
};

/*
 * Sends one packet without blocking; the fds are borrowed. With n_fds 0 the carrier may be a pipe.
 * -EAGAIN: the carrier is full; -EPIPE, -ECONNRESET: the peer is gone.
 */
int packet_send(int carrier, uint16_t type, uint32_t sequence, const void *body, size_t length, const int *fds,
                unsigned n_fds);

/*
 * Receives one packet without blocking and owns its fds (close what is left with packet_done). `most_fds` 0 means
 * the carrier must bring none: no control buffer is offered. -EAGAIN: none there; -ENODATA: the peer is gone;
 * -EBADMSG: truncated, wrong length, or descriptors that are too many: everything it brought is closed.
 */
int packet_recv(int socket, unsigned most_fds, struct packet *ret_packet);

/* The same from a packet-mode pipe. */
int packet_read(int pipe, struct packet *ret_packet);

/* Closes the descriptors that nobody took. */
void packet_done(struct packet *packet);
