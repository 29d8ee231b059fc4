/*
 * Facts about one thing, a line each or as JSON.
 */
#pragma once

#include "json.h"

struct showing {
        bool as_json;
        struct json json;
};

/* One fact; an empty text is none. */
void show_text(struct showing *to, const char *key, const char *text);
void show_number(struct showing *to, const char *key, uint64_t number);
void show_bool(struct showing *to, const char *key, bool is);
void show_bits(struct showing *to, const char *key, uint64_t bits);
