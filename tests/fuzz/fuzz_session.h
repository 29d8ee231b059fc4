/*
 * A whole session for the fuzzers: its loop runs in this process, its front-end and its worker are the input.
 */
#pragma once

#include "session.h"

#include <stddef.h>
#include <stdint.h>

/* What is left of the input. */
struct input {
        const uint8_t *at;
        size_t left;
};

struct fuzz_session {
        struct session *s;
        int front, worker, broker, pipe; /* our ends */
        int memory;                      /* a file of 1 MiB, sent along whenever descriptors are */
        unsigned open_before;            /* descriptors */
        unsigned random; /* the state of what the worker answers */
};

/* A session that waits for READY; fuzz_ready gives it one, so that everything is offered. */
void fuzz_init(struct fuzz_session *fuzz);
void fuzz_ready(struct fuzz_session *fuzz);

/* Ends it, and stops the fuzzer if it left a descriptor open. */
void fuzz_done(struct fuzz_session *fuzz);

/* Steps of the loop, until nothing is left to do; checks the ledger after each. The worker answers if `answer`. */
void fuzz_run(struct fuzz_session *fuzz, int answer);

/* A message of the front-end with n_fds times the memory file. */
void fuzz_message(struct fuzz_session *fuzz, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
                  unsigned n_fds);

/* A well-formed message. */
struct fuzz_line {
        uint32_t request, size;
        unsigned n_fds;
        uint8_t bytes[sizeof(struct vu_mem_table) + sizeof(struct vu_config)];
};

/* The i-th of a front-end that does all there is to do; they repeat. */
struct fuzz_line fuzz_line(unsigned i);

/* Takes up to n bytes of the input; returns how many, 0: nothing is left. */
size_t fuzz_take(struct input *input, void *ret, size_t n);
