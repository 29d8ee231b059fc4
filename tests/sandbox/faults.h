/*
 * A kernel that fails when a test wants it to: some system calls of a broker and of all it starts are asked about first
 * (with_notes). For root only.
 */
#pragma once

#include "rig.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { FAULT_PRETEND = 0, FAULT_HANG = -1 };

enum fault_in { FAULT_ANYWHERE, FAULT_BROKER, FAULT_STAGE, FAULT_SESSION, FAULT_WORKER }; /* STAGE: until exec */

/* The next call that is like this fails, once, or each one. */
struct fault {
        enum fault_in in;
        const char *call;
        int error; /* or FAULT_PRETEND: says 0 and does nothing; FAULT_HANG: comes back when it is released, if ever */
        struct fault_argument {
                uint64_t mask, value; /* the argument & mask == value; mask 0: whatever it is */
                bool given;           /* must not be 0 */
        } argument[6];
        const char *text; /* that the string in argument 1 ends in; NULL: whatever it is */
        unsigned skip;    /* so many of them are left alone first */
        unsigned more;    /* and so many behind it fail as well */
        bool always;      /* or all */
};

struct faults;

/* From now on rig_start() starts a broker whose calls, of those named (with blanks between them), can fail. */
struct faults *faults_new(const char *calls);
void faults_free(struct faults *faults); /* after that broker has ended */

/* Arms one fault; `broker` tells the broker from what it forks (0: it has not been started yet). */
void faults_arm(struct faults *faults, const struct fault *fault, pid_t broker);

/* Disarms it. Has it been met? */
bool faults_met(struct faults *faults);

/* Waits until it has been met. */
void faults_await(struct faults *faults);

/* The last call that hung is made after all. */
void faults_release(struct faults *faults);
