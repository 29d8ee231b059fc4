/*
 * The back-end's own channel to the front-end (SET_BACKEND_REQ_FD). Never waited for, and never read: nothing that is
 * said there asks for a reply.
 */
#pragma once

#include "ipc.h"

#include <stdbool.h>

struct session;

/* Tells the front-end that the config space has changed, now or when its channel is there (CONFIG_CHANGE_MSG). */
void backend_config_changed(struct session *s);

/* What the front-end has not been told yet of a vring. */
struct backend_due {
        bool call, error; /* in-band notifications */
        bool miss;        /* it waits for what this stands for: */
        uint32_t access;  /* enum ipc_access */
        uint64_t iova;
};

/* Is there a channel? */
bool backend_has_channel(const struct session *s);

/* Asks the front-end what an iova stands for (IOTLB_MSG, miss), now or when its channel takes it. */
void backend_iotlb_miss(struct session *s, const struct ipc_iotlb_miss *miss);

/* Sends what the channel did not take. */
void backend_pay(struct session *s);
