/*
 * A real vhost-worker under test: this side plays broker, session and guest driver over one memfd of guest memory.
 * Every wait has a limit; a failure is a failed assertion of check.
 */
#pragma once

#include "ipc.h"
#include "stats_page.h"
#include "virtio.h"

#include <stdbool.h>
#include <sys/types.h>

enum {
        RIG_QUEUES = 4,
        RIG_RING = 128,               /* entries */
        RIG_MEMORY = 32 << 20,        /* bytes of guest memory */
        RIG_DATA = 1 << 20,           /* where free memory begins, bytes from its start */
        RIG_WAIT_MS = 20000,
};

#define RIG_GPA UINT64_C(0x100000000)
#define RIG_UVA UINT64_C(0x7f1234000000)
#define RIG_ACKED                                                                                                      \
        (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |        \
         VIRTIO_BIT(VIRTIO_BLK_F_FLUSH))

struct rig_ring {
        unsigned index;
        struct vring_desc *desc;
        struct vring_avail *avail;
        struct vring_used *used;
        uint16_t next_avail, last_used;
        int kick, call, err;
};

struct rig {
        pid_t worker;
        void (*run)(void); /* instead of the program, in the child that would become it; NULL: the program */
        int channel, fence, memory, area, statistics, disk;
        char *guest;      /* the memory, mapped here */
        char *guest_area; /* the in-flight area */
        uint32_t sequence;
        struct ipc_ready ready;
        struct ipc_device device;
        unsigned broken; /* bit per vring: VRING_BROKEN came */
        unsigned configs; /* CONFIG packets that came */
        struct ipc_config config;
        struct rig_ring ring[RIG_QUEUES];
        unsigned fds_before;
};

/* One descriptor of a chain. */
struct rig_part {
        uint64_t gpa;
        uint32_t len;
        bool write;
};

/* What DEVICE says by default: a block device on `disk` (owned by the caller). */
struct ipc_device rig_device(enum ipc_engine engine, uint64_t capacity);

/* Makes guest memory and rings, starts a worker and takes its READY. */
void rig_init(struct rig *rig, const struct ipc_device *device, int disk);

/* The same with a worker of the test's own: `run` never returns. */
void rig_init_own(struct rig *rig, const struct ipc_device *device, int disk, void (*run)(void));

/* Hangs up, expects the worker to end well, and checks that nothing is left behind. */
void rig_done(struct rig *rig);

/* The same for a worker that has ended already, in whatever way. */
void rig_forget(struct rig *rig);

/* Starts a(nother) worker for the same memory. */
void rig_spawn(struct rig *rig);

/* Kills the worker by SIGKILL, and waits until its fence has fallen. */
void rig_kill(struct rig *rig);

/* Sends a packet; returns its sequence. */
uint32_t rig_send(struct rig *rig, enum ipc_type type, const void *body, size_t n);

/* Sends a packet and waits for its answer; asserts nothing about the result. */
int rig_ask(struct rig *rig, enum ipc_type type, const void *body, size_t n, const int *fds, unsigned n_fds,
            uint64_t *ret_value);

/* FEATURES, MEM_TABLE, INFLIGHT: all but the vrings. */
void rig_configure(struct rig *rig, uint64_t acked);

/* VRING_START of a ring, as it stands in guest memory, enabled or not; rig_ring_stop() returns the base. */
int rig_ring_start(struct rig *rig, unsigned index, bool resume);
int rig_ring_start_off(struct rig *rig, unsigned index, bool resume);
uint32_t rig_ring_stop(struct rig *rig, unsigned index);

/* Reads packets until the condition holds. */
void rig_until_broken(struct rig *rig, unsigned index);

/* The next packet that is an ANSWER, whatever its sequence. */
struct ipc_answer rig_next_answer(struct rig *rig);

/* How many requests of a ring the in-flight area says are taken and not completed. */
unsigned rig_taken(const struct rig *rig, unsigned index);

/* Guest memory by guest address. */
void *rig_at(struct rig *rig, uint64_t gpa);

/* Writes a chain into descriptors first, first + 1, ...; does not offer it. */
void rig_write_chain(struct rig_ring *ring, uint16_t first, const struct rig_part *parts, unsigned n);

/* Offers a head to the device; kicks. */
void rig_offer(struct rig_ring *ring, uint16_t head);
void rig_kick(struct rig_ring *ring);

/* Waits until the ring has used `n` more entries; sleeps on the call fd. */
void rig_wait_used(struct rig_ring *ring, unsigned n);

/* Waits for a call, without taking it. */
void rig_wait_call(const struct rig_ring *ring);

/* The used entry `back` places before the last one. */
struct vring_used_elem rig_used(const struct rig_ring *ring, unsigned back);

/* Writes an indirect table into guest memory at `at`, and descriptor `head` that points to it. */
void rig_write_indirect(struct rig *rig, struct rig_ring *ring, uint16_t head, uint64_t at,
                        const struct rig_part *parts, unsigned n);

/* An unnamed file of this size, on a disk; open flags besides O_RDWR. The caller closes it. */
int rig_disk(off_t size, int flags);

/* A whole block request through descriptors 0..2 (data: RIG_DATA of the ring's own); returns the status. */
uint8_t rig_blk(struct rig *rig, unsigned ring, uint32_t type, uint64_t sector, void *data, uint32_t len);

/* A read of one sector whose end is seen in the used ring only, for rings without a call. */
void rig_blk_polled(struct rig *rig, unsigned ring);
