/*
 * A whole worker for the fuzzers, without its loop: the fuzzer drives its vrings, and holds its channel.
 */
#pragma once

#include "worker.h"

enum { FUZZ_MEMORY = 64 << 10, FUZZ_QUEUES = 2, FUZZ_UVA = 0x100000, FUZZ_GPA = 0, FUZZ_DISK = 64 << 10 };

struct fuzz_worker {
        struct worker worker;
        struct packet packet;
        int session;   /* our end of its channel */
        int file;      /* FUZZ_MEMORY bytes of guest memory, of which no region is added yet */
        char *memory;  /* the same, as we see it */
};

/* A block device on the null engine, made once per process: there is no way to unmake one. */
struct fuzz_worker *fuzz_worker_new(void);

/* Adds all of its memory: one region, guest physical from FUZZ_GPA on. */
void fuzz_worker_map(struct fuzz_worker *fuzz);

/* A device by its virtio id, with its memory added; a block device has a disk of FUZZ_DISK bytes and a pool. */
struct fuzz_worker *fuzz_worker_of(uint32_t id, bool bounce);

/* Serves and publishes all vrings until they rest, a bounded number of rounds. */
void fuzz_worker_round(struct fuzz_worker *fuzz);

/* Throws away what the worker has said. */
void fuzz_worker_hear(struct fuzz_worker *fuzz);
