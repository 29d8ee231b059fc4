/*
 * The channel to the session: each packet downward is answered once, in order but for those that must wait for
 * requests in flight.
 */
#pragma once

#include "guest_mem.h"
#include "ipc.h"

struct vring;
struct worker;

/* A packet whose answer waits until vrings are idle. */
struct link_pending {
        uint16_t type; /* enum ipc_type; 0: none */
        uint32_t sequence;
        uint32_t index;        /* VRING_STOP: vring; REGION_DEL: slot */
        struct guest_mem next; /* MEM_TABLE */
        struct ipc_iotlb iotlb;
};

struct link {
        int channel;
        struct ipc_peer peer;
        struct link_pending pending;
        struct packet packet; /* the one being read */
        bool held;            /* it waits until `pending` is done */
};

/* The channel is borrowed. */
void link_init(struct link *link, int channel);

/* Waits for the opening packet of the broker. -EPROTO: something else came first. */
int link_receive_device(struct link *link, struct packet *ret_packet);

/* Tells the session that the worker is ready, or ends the process. */
void link_ready(struct worker *worker, uint32_t lacks);

/* The channel can be read, or a vring has become idle. Ends the process when the session is gone. */
void link_serve(struct worker *worker);

/* Tells the session what the config space is now; with `notify` the front-end is to hear of it. */
void link_config(struct worker *worker, bool notify);

/* Asks the session what an iova stands for; from any loop. */
void link_iotlb_miss(struct worker *worker, uint32_t index, uint64_t iova, uint32_t access);

/* Tells the session that a vring broke; from any loop. */
void link_vring_broken(struct worker *worker, uint32_t index, int error);

/* A log sink whose context is the struct link: one packet per line, dropped when the channel is full. */
void link_log(void *context, enum log_level level, const char *text);
