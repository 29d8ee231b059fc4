/*
 * The session's lines: packets up the broker's pipe, at a limited rate; what is dropped is counted and told later.
 */
#pragma once

#include "log.h"

#include <stdbool.h>
#include <stdint.h>

struct session_log {
        struct log log; /* what modules write to */
        int pipe;       /* borrowed */
        struct log_limit limit;
        unsigned long told; /* of limit.dropped */
        unsigned per_s;     /* lines in the long run, twice as many at once */
};

/* `per_s` may be changed at any time. `pipe` is borrowed and must not block. The struct must not move afterwards. */
void session_log_init(struct session_log *log, int pipe);

/* Relays a line that the worker wrote, n bytes with or without a NUL; cleans it in place. */
void session_log_relay(struct session_log *log, uint32_t level, char *text, size_t n);
