/*
 * Migration by post-copy (vhost-user, "Postcopy live migration"), as the session sees it: an order of messages, a
 * descriptor that comes from the worker, and addresses of the worker's that go to the front-end.
 */
#pragma once

#include "ipc.h"
#include "vu_recv.h"

#include <stdbool.h>

struct session;

enum postcopy_state {
        POSTCOPY_NONE,
        POSTCOPY_ADVISED,   /* the front-end has the userfaultfd */
        POSTCOPY_LISTENING, /* regions are answered with where they lie */
        POSTCOPY_ENDED,
};

/* Is the packet with the userfaultfd the next that may come? No other packet of the worker's brings a descriptor. */
bool postcopy_expects_fd(const struct session *s);

/* That packet. -EPROTO: not now, or it is no userfaultfd; -EALREADY. */
int postcopy_on_userfault(struct session *s, struct packet *packet);

/* A worker's successor would have other addresses and another userfaultfd than the front-end knows. */
bool postcopy_binds_worker(const struct session *s);

bool postcopy_listens(const struct session *s);

/* Is it the message without regions by which the front-end says that it will bring the pages of those it has told? */
bool postcopy_is_go_ahead(const struct session *s, const struct vu_msg *m);

/* Handles that message. */
int postcopy_go_ahead(struct session *s);

/* The regions of the message are in the ledger: replies with the worker's addresses of them. For a commit to return. */
int postcopy_reply_table(struct session *s);
int postcopy_reply_region(struct session *s, uint32_t slot);
