/*
 * Lines for the operator.  Programs differ in where a line goes (stderr, journal, a packet to the broker), so a log
 * is a sink that its owner passes around; nothing here is global.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

/* The levels of syslog(3), as far as we use them. */
enum log_level {
        LOG_LEVEL_ERROR = 3,
        LOG_LEVEL_WARNING = 4,
        LOG_LEVEL_NOTICE = 5,
        LOG_LEVEL_INFO = 6,
        LOG_LEVEL_DEBUG = 7,
};

enum { LOG_TEXT_MAX = 400 }; /* bytes of one line, its NUL included */

struct log {
        void (*sink)(void *context, enum log_level level, const char *text);
        void *context;
        enum log_level most; /* lines above this level are dropped unformatted */
};

/* Formats one line and hands it to the sink; longer lines are cut, never split. */
void log_at(const struct log *log, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_at_v(const struct log *log, enum log_level level, const char *format, va_list arguments);

/* Replaces, in place, whatever is not printable ASCII by '?'; for text that a peer wrote. */
void log_clean(char *text, size_t n);

/* "EINVAL" of -EINVAL or EINVAL; "?" for none. A constant, never translated. */
const char *log_errno(int error);

#define log_error(log, ...) log_at(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(log, ...) log_at(log, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(log, ...) log_at(log, LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(log, ...) log_at(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_at(log, LOG_LEVEL_DEBUG, __VA_ARGS__)

/* At most `burst` lines at once and `per_second` on the long run. */
struct log_limit {
        double tokens;
        long long last_ns; /* CLOCK_MONOTONIC */
        unsigned long dropped;
};

/* Takes a token: true if a line may be written at now_ns. Counts what it refuses in `dropped`. */
int log_limit_take(struct log_limit *limit, long long now_ns, unsigned per_second, unsigned burst);
