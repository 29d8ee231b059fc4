/*
 * A chain: the descriptors of one request, judged and turned into spans of ours; what the guest may read and write
 * of it is consumed through cursors, whatever the layout of its descriptors is (virtio 1.3, 2.6.4).
 */
#pragma once

#include "guest_mem.h"
#include "virtio.h"

struct vring;

enum {
        CHAIN_DESCS_MAX = 1024, /* descriptors of one chain, in vrings of any size */
        CHAIN_PARTS_MAX = CHAIN_DESCS_MAX + 64, /* spans of one chain: a descriptor may cross regions */
        CHAIN_PARTS_INLINE = 6,
};

/* What is left of one side of a chain. It consumes its parts in place. */
struct chain_cursor {
        struct iovec *part;
        unsigned n;
        uint64_t left; /* bytes */
};

struct chain {
        struct vring *vring;
        uint16_t head;
        uint16_t room; /* its vring's, while it is taken */
        bool taken;    /* from its fetch until its used entry is published */
        bool finished; /* IN_ORDER: done, but one before it is not */
        uint8_t kind, error; /* set by its device: enum stats_kind, stats_error */
        uint32_t written; /* bytes, once finished */
        uint64_t since;   /* ns: when it was taken */
        uint64_t bytes;   /* set by its device: what it moves */
        struct chain_cursor out; /* for the device to read */
        struct chain_cursor in;  /* for the device to write */
        const struct gpa_range *writes; /* `in` as it was taken, for the dirty log */
        unsigned n_writes;
        struct iovec parts[CHAIN_PARTS_INLINE];
};

/* Private copies while a chain is gathered; one per loop. */
struct chain_scratch {
        struct iovec part[CHAIN_PARTS_MAX];
        union {
                struct vring_desc table[CHAIN_DESCS_MAX];
                struct vring_packed_desc packed_table[CHAIN_DESCS_MAX];
        };
        struct vring_packed_desc list[CHAIN_DESCS_MAX]; /* of a packed chain: what lies in its slots */
};

/* What a chain comes from. */
struct chain_source {
        const struct guest_mem *mem;
        const struct vring_desc SHARED *desc; /* read once; split rings only */
        uint32_t size;                 /* entries */
        bool indirect;                 /* INDIRECT_DESC was acked */
        struct chain_scratch *scratch;
        struct gpa_range *writes; /* room for CHAIN_PARTS_MAX, where `in` is noted; NULL: nothing is logged */
};

/* Why a chain was refused, for the log. */
struct chain_fault {
        const char *what; /* a format with one uint64_t as hexadecimal */
        uint64_t value;
        uint32_t access; /* -EAGAIN: for what the address `value` is wanted, enum ipc_access */
};

/*
 * Gathers the chain that starts at `head` (< size) into ret_chain's cursors; `spill` takes CHAIN_PARTS_MAX parts if
 * they do not fit inline. -EINVAL, -EFAULT, -E2BIG: malformed, *ret_fault says how (virtio 1.3, 2.7.5); -EAGAIN: it
 * has an address that is not known yet.
 */
int chain_gather(const struct chain_source *source, uint16_t head, struct iovec *spill, struct chain *ret_chain,
                 struct chain_fault *ret_fault);

/*
 * The same for a packed chain, whose n (1..CHAIN_DESCS_MAX) descriptors were copied into the scratch list; the chain is
 * known as `head` from then on (virtio 1.3, 2.8.5 to 2.8.7).
 */
int chain_gather_packed(const struct chain_source *source, unsigned n, uint16_t head, struct iovec *spill,
                        struct chain *ret_chain, struct chain_fault *ret_fault);

/* Copies n bytes out of the guest's part. -ENODATA: shorter, and nothing was consumed. */
int chain_get(struct chain_cursor *from, void *to, uint64_t n);

/* Copies n bytes into the guest's part. -ENOSPC: shorter, and nothing was written. */
int chain_put(struct chain_cursor *to, const void *from, uint64_t n);

/* Fills what is left with zeroes; returns how many bytes that were. */
uint64_t chain_zero(struct chain_cursor *to);

/* Takes the last byte away from a cursor. -ENOSPC: it has none. */
int chain_tail(struct chain_cursor *cursor, uint8_t SHARED **ret_byte);

/* Consumes n <= left bytes. */
void chain_skip(struct chain_cursor *cursor, uint64_t n);

/* For devices: gives a chain back, with the bytes written into it (virtio 1.3, 2.7.8); vring.c. The chain is gone. */
void chain_done(struct chain *chain, uint32_t written);
