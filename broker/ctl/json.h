/*
 * JSON on a stream, as it is written.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { JSON_DEPTH = 8 };

struct json {
        FILE *out;
        unsigned depth;
        bool more[JSON_DEPTH]; /* something stands before, on this level */
        char close[JSON_DEPTH];
};

/* Begins an object or array, to be ended by json_end. `key` is NULL within arrays and for the outermost. */
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);

/* Ends what was begun last; the outermost with a line feed. */
void json_end(struct json *json);

void json_text(struct json *json, const char *key, const char *text);
void json_number(struct json *json, const char *key, uint64_t number);
void json_bool(struct json *json, const char *key, bool is);
