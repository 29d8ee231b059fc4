/*
 * A whole worker for the fuzzers, without its loop: the fuzzer drives its vrings, and holds its channel.
 */
#pragma once

#include "worker.h"

enum { FUZZ_MEMORY = 64 << 10, FUZZ_QUEUES = 2, FUZZ_UVA = 0x100000 };

struct fuzz_worker {
        struct worker worker;
        struct packet packet;
        int session;   /* our end of its channel */
        int file;      /* FUZZ_MEMORY bytes of guest memory, of which no region is added yet */
        char *memory;  /* the same, as we see it */
};

/* A block device on the null engine, made once per process: there is no way to unmake one. */
struct fuzz_worker *fuzz_worker_new(void);

/* Serves and publishes all vrings until they rest, a bounded number of rounds. */
void fuzz_worker_round(struct fuzz_worker *fuzz);

/* Throws away what the worker has said. */
void fuzz_worker_hear(struct fuzz_worker *fuzz);
