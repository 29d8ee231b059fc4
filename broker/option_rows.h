/*
 * The table of options.
 */
#pragma once

#include "options.h"

#include <stddef.h>

enum { OPTION_TEXT = 256 }; /* bytes of an option as errors show it */

struct option_row;

/* A command line being read. */
struct parse {
        struct options *options;
        const struct log *log;
        const struct option_row *row;
        char text[OPTION_TEXT]; /* the option as written */
        char alone[32];         /* the first option that means stand-alone; empty: none */
};

struct option_row {
        const char *name;
        int argument;                                    /* as in getopt_long(3) */
        int (*take)(struct parse *p, const char *value); /* value NULL: none given. 0, or -errno after a line */
        const char *section, *key;                       /* a key of the device's config: stand-alone only */
        enum options_action action;
};

extern const struct option_row option_rows[];
extern const size_t option_n_rows;

/* Logs "OPTION: why" and returns -EINVAL. */
int option_refuse(const struct parse *p, const char *why);
