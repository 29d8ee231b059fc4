/*
 * The table of config keys.
 */
#pragma once

#include "config.h"
#include "config_value.h"

/* One value on its way into one key. */
struct setting {
        struct device_config *config;
        const char *value; /* not empty, no control characters */
        bool relative_ok;  /* a path of the command line counts from the caller's directory */
        struct value_why why;
};

struct config_row {
        const char *section, *key;
        int (*set)(struct setting *s); /* 0, or -errno with the reason in s->why */
};

extern const struct config_row config_rows[CONFIG_KEYS];

/* Is there such a section? In any case. */
bool config_section_ok(const char *section);
