/*
 * The attacker outside: a front-end that commands a worker or a session which it has taken over (command.h), on a stand
 * whose broker runs such programs.
 */
#pragma once

#include "command.h"
#include "rig.h"

struct attacker {
        struct fe_conn conn;
        bool in_session;
        int front, channel; /* in_session: descriptors of the connection and of the worker's channel */
};

/* From now on rig_start() starts a broker whose sessions and workers can be taken over. */
void attacker_prepare(bool lenient);

/* Takes over the worker, or the session, of the rig's device. */
struct attacker attacker_in_worker(const struct rig *rig);
struct attacker attacker_in_session(const struct rig *rig);

/* Has a command carried out. -ECONNRESET, -EPIPE: that was the end of the process, or of its connection. */
int attacker_do(struct attacker *a, struct evil_command command, struct evil_answer *ret_answer);

/* One system call; -errno of the call, or 0 and above. Fails the test if the attacker does not survive. */
int64_t attacker_call(struct attacker *a, uint64_t number, const uint64_t arguments[6]);

/* Gives the session that was taken over one more descriptor; returns its number there. */
int attacker_give(struct attacker *a, int fd);

/* Sends a command that nobody answers. */
void attacker_let(struct attacker *a, struct evil_command command);

void attacker_close(struct attacker *a);
