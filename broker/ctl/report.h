/*
 * What inspect found, and how it is told.
 */
#pragma once

#include "json.h"

#include <stdbool.h>
#include <stdio.h>

enum verdict {
        REPORT_OK,
        REPORT_WEAKER, /* missing, but the device's config names it */
        REPORT_NOTE,   /* nothing is demanded */
        REPORT_SHORT,  /* what the policy demands is not in force, or cannot be seen */
};

struct report {
        bool as_json, quiet;
        struct json json;
        const char *device, *process;
        unsigned shortfalls, weaker;
};

/* Begins and ends the whole; the processes of a device; the findings of a process. */
void report_begin(struct report *report, bool as_json, bool quiet);
void report_end(struct report *report);
void report_process(struct report *report, const char *device, const char *process, int pid);
void report_process_end(struct report *report);

/* One finding: its measure in a word, and the evidence. */
void report_line(struct report *report, enum verdict verdict, const char *measure, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
