/*
 * What an attacker (tests/evil/attacker.h) tells a worker or a session that it has taken over, and what it hears back.
 * To the worker it goes as the bytes of SET_CONFIG and GET_CONFIG; to the session over the front-end's connection.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define EVIL_MAGIC UINT64_C(0x6c6976655f75b301)

enum {
        EVIL_DATA = 136,  /* bytes */
        EVIL_ERRNO = 4077, /* what the filters answer in the builds where they do not kill; no call fails so by itself */
        EVIL_X32_BIT = 0x40000000,
};

enum evil_what {
        EVIL_CALL,   /* system call `number` with the six arguments */
        EVIL_PACKET, /* sends to descriptor `number`: argument 0: bytes, 1: what fills those after data, 2: number of
                        descriptors attached, 3: which one */
        EVIL_RING,   /* submits data as an entry of the ring; the result is that of its completion */
        EVIL_WHERE,  /* session: the connection's descriptor, and times 65536 that of the worker's channel */
        EVIL_KEEP,   /* session: keeps the descriptor that came with the command; the result is its number */
        EVIL_STATS,  /* worker: fills its statistics with words `number` and others, for argument 0 ms */
        EVIL_HANG,   /* reads nothing any more, for ever */
};

enum evil_entry { EVIL_64, EVIL_X32, EVIL_I386 };

struct evil_command {
        uint64_t magic;
        uint32_t what;  /* enum evil_what */
        uint32_t entry; /* enum evil_entry */
        uint64_t number;
        uint64_t argument[6];
        uint32_t in_data; /* bit i: argument i is an offset into a copy of data */
        uint32_t ms;      /* again and again for so long; 0: once */
        uint8_t data[EVIL_DATA];
};
static_assert(sizeof(struct evil_command) <= 256, "fits into a device's config space");

struct evil_answer {
        uint64_t magic;
        int64_t result; /* of the last time; -errno */
        uint64_t times;
};
