/*
 * A session in this process, with a front-end, a worker and a broker that the test plays. Nothing waits: every step is
 * taken until nothing moves any more.
 */
#pragma once

#include "session.h"

#include <check.h>

enum { RIG_SEEN = 1100, RIG_LINES = 64 };

/* What the worker was sent. */
struct rig_packet {
        struct packet_header header;
        _Alignas(uint64_t) uint8_t body[PACKET_BODY_MAX];
        unsigned n_fds;
};

struct rig {
        struct session *s;
        int front, worker, broker, pipe; /* our ends; -1: closed */
        int fds_before;
        bool silent;         /* the worker does not answer */
        int32_t refuse;      /* the worker's result */
        unsigned refuse_type; /* for this type only; 0: all */
        uint64_t value;      /* the worker's value */
        uint8_t config[VU_CONFIG_MAX]; /* the worker's */
        struct rig_packet *seen;
        unsigned n_seen;
        char line[RIG_LINES][LOG_TEXT_MAX];
        unsigned n_lines, n_serving, n_wanted;
};

/* What the played worker and broker allow. */
#define RIG_FEATURES (UINT64_C(3) << 34 | UINT64_C(1) << 32 | UINT64_C(1) << 29 | UINT64_C(1) << 28 | 1 << 9 | 1 << 6)
#define RIG_PROTOCOL UINT64_C(0x19b22b) /* all that a session can without being asked */
enum { RIG_QUEUES = 4, RIG_QUEUE_SIZE = 1024, RIG_CONFIG = 60, RIG_MESSAGES_BURST = 4000, RIG_LOG_BURST = 20 };

#define RIG_MEMORY_MOST (UINT64_C(4) << 40) /* bytes */
#define BIT30 (UINT64_C(1) << 30)
#define LOG_ALL (UINT64_C(1) << 26)
#define VERSION_1 (UINT64_C(1) << 32)

/* A session whose worker is up, or (rig_init_early) has not said READY. */
void rig_init(struct rig *rig);
void rig_init_early(struct rig *rig);
void rig_ready(struct rig *rig);

/* The worker's CONFIG. */
void rig_tell_config(struct rig *rig, bool notify);

/* Gives the session another worker's channel, which is rig->worker from then on. */
void rig_next_worker(struct rig *rig);

/* Ends it; fails if it left a descriptor open. */
void rig_done(struct rig *rig);

/* Lets session and worker run until nothing moves. */
void rig_run(struct rig *rig);

/* Sends a message as it is, and runs. */
void rig_send(struct rig *rig, uint32_t request, uint32_t flags, const void *payload, uint32_t size, const int *fds,
              unsigned n_fds);

/* Takes a reply: its payload's length, -1: there is none. Checks flags and request. ret_fd may be NULL. */
int rig_reply(struct rig *rig, uint32_t request, void *ret_payload, size_t room, int *ret_fd);

/* The message with NEED_REPLY; its u64. Fails if there is none. */
uint64_t rig_ask(struct rig *rig, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned n_fds);

/* The message without NEED_REPLY; fails if it is answered or the session ends. */
void rig_tell(struct rig *rig, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned n_fds);

/* The same for the common shapes; `get` returns the reply's u64. */
void rig_tell_u64(struct rig *rig, uint32_t request, uint64_t value);
void rig_tell_state(struct rig *rig, uint32_t request, uint32_t index, uint32_t num);
void rig_tell_fd(struct rig *rig, uint32_t request, uint64_t word);
uint64_t rig_get(struct rig *rig, uint32_t request);

/* A packet from the worker, and runs. */
void rig_from_worker(struct rig *rig, uint16_t type, uint32_t sequence, const void *body, size_t size);

/* The last packet that the worker got; fails unless it is of this type. */
const void *rig_got(struct rig *rig, unsigned type);

/* How many of this type it got, since the last rig_got or rig_forget. */
unsigned rig_count(const struct rig *rig, unsigned type);
void rig_forget(struct rig *rig);

/* Was a line with this text written? */
bool rig_logged(const struct rig *rig, const char *text);

/* A file of so many bytes in memory. */
int rig_file(uint64_t bytes);

/* Negotiates all, as most tests want it: features, protocol features, one region of 1 MiB at gpa 0, uva 0x10000000. */
enum { RIG_UVA = 0x10000000, RIG_MEMORY = 1 << 20 };
void rig_negotiate(struct rig *rig, uint64_t protocol);
void rig_memory(struct rig *rig);

/* NUM, BASE, ADDR, KICK, CALL of a vring of 128 entries. */
void rig_start(struct rig *rig, uint32_t index);
struct vu_vring_addr rig_addr(uint32_t index);

/* Runs the tests of a file: main's body. */
int rig_main(const char *name, const TTest *const *const *tests, size_t n);
