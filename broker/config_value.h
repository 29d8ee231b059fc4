/*
 * Values of config keys: text to number, list, path. Each parser says why it refuses one.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Why a value was refused: the end of "FILE:LINE: KEY=VALUE: ...". */
struct value_why {
        char text[160];
};

/* Formats the reason and returns -EINVAL. */
int value_refuse(struct value_why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool value_has_control(const char *text);

/* What the operator wrote as the log may show it, cut at size - 1 bytes: '?' stands for bytes of control characters. */
void value_shown(const char *text, char *ret_shown, size_t size);

/* All others: 0 and the result, or -EINVAL (-ENOMEM for those that allocate) and the reason. */

int value_number(const char *value, uint32_t least, uint32_t most, uint32_t *ret_number, struct value_why *why);

/* Bytes, with a suffix K, M, G or T (powers of 1024) or none; not 0. */
int value_bytes(const char *value, uint64_t *ret_bytes, struct value_why *why);

int value_bool(const char *value, bool *ret_bool, struct value_why *why);

/* The index of one of n words. */
int value_choice(const char *value, const char *const *words, unsigned n, unsigned *ret_index, struct value_why *why);

/* Bit i for word i of a list separated by spaces or commas. */
int value_choices(const char *value, const char *const *words, unsigned n, uint32_t *ret_bits, struct value_why *why);

/* A copy of 1..most printable ASCII bytes into a field of most + 1. */
int value_text(const char *value, unsigned most, char *ret_text, struct value_why *why);

/* Replaces the string by a copy of a path of at most `most` bytes. */
int value_path(const char *value, bool relative_ok, unsigned most, char **path, struct value_why *why);

/* "0-3,8". */
int value_cpus(const char *value, cpu_set_t *ret_cpus, struct value_why *why);

/* Names or numbers, separated by spaces; replaces the array of n. */
int value_users(const char *value, uid_t **users, unsigned *n, struct value_why *why);
int value_groups(const char *value, gid_t **groups, unsigned *n, struct value_why *why);
