/*
 * The messages of the protocol, a row each, and the one gate that leads to their handlers.
 */
#pragma once

#include <stdint.h>

struct session;
struct vu_msg;

/* 0: done, the answer may go; SESSION_WAIT: a proposal is on its way; -errno: failed, nothing has changed. */
typedef int vu_handler(struct session *s, struct vu_msg *m);

enum vu_answer {
        VU_ACK,   /* a u64, only if NEED_REPLY is set and REPLY_ACK in force */
        VU_U64,   /* a u64, always */
        VU_REPLY, /* the handler's own; there is no error form, so a failure closes */
        VU_REPLY_OR_NACK,  /* the handler's own; on failure: a u64 if NEED_REPLY allows one, else it closes */
        VU_REPLY_OR_NO_FD, /* the handler's own; on failure: the u64 of SET_DEVICE_STATE_FD that says so */
        VU_REPLY_OR_EMPTY, /* the handler's own; on failure: no payload */
        VU_REPLY_OR_ZERO,  /* the handler's own; on failure: the request's size in zeros */
};

/* When: states of the session that accept a message. */
enum { VU_SETUP = 1 << 0, VU_RUNNING = 1 << 1, VU_ANY = VU_SETUP | VU_RUNNING };

enum { VU_ALWAYS = -1 }; /* needs no protocol feature */

struct vu_rule {
        const char *name;
        uint16_t least, most; /* payload bytes */
        uint8_t fds;          /* most descriptors it may carry */
        int8_t needs;         /* protocol feature bit, or VU_ALWAYS */
        uint8_t when;
        enum vu_answer answer;
        vu_handler *handle; /* NULL: known, never offered */
};

/* The row of a request number, or NULL. */
const struct vu_rule *vu_rule_of(uint32_t request);

/* The whole message at hand passes the gate and meets its handler, whose answer goes out, now or after the worker's. */
void vu_handle(struct session *s);

/* Lets the handler look at it again: its earlier proposal has changed the ledger. */
int vu_again(struct session *s, struct vu_msg *m);

/* The message is done (r as of a handler, not SESSION_WAIT): answers or closes, and makes room for the next. */
void vu_finish(struct session *s, int r);

/* A handler's reply; owns fd (FD_NONE: none). */
int vu_reply(struct session *s, const void *payload, uint32_t size);
int vu_reply_u64(struct session *s, uint64_t value);
