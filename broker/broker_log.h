/*
 * Where the broker's lines go: the journal with fields per device if standard error is connected to it, else
 * standard error.
 */
#pragma once

#include "log.h"

#include <stdbool.h>
#include <stdint.h>

struct broker_log {
        bool journal;
        const char *device; /* borrowed; NULL: the broker itself */
        uint32_t session;   /* number of the session the line is about; 0: none */
        struct log log;     /* hand this one around */
};

/* Fills it in place; it must not move afterwards, for its sink points to it. */
void broker_log_init(struct broker_log *log, const char *device, enum log_level most);
