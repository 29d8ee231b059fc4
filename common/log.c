/*
 * Lines for the operator: formatting, cleaning, rate.
 */
#include "log.h"

#include "errno_name.h"

#include <stdio.h>
#include <string.h>

void log_at_v(const struct log *log, enum log_level level, const char *format, va_list arguments)
{
        char text[LOG_TEXT_MAX];

        if (level > log->most)
                return;
        vsnprintf(text, sizeof(text), format, arguments);
        log->sink(log->context, level, text);
}

void log_at(const struct log *log, enum log_level level, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        log_at_v(log, level, format, arguments);
        va_end(arguments);
}

void log_clean(char *text, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (text[i] < ' ' || text[i] > '~')
                        text[i] = '?';
}

const char *log_errno(int error)
{
        const char *name = errno_name(error < 0 ? -error : error);

        return name ? name : "?";
}

int log_limit_take(struct log_limit *limit, long long now_ns, unsigned per_second, unsigned burst)
{
        if (limit->last_ns == 0)
                limit->tokens = burst;
        else
                limit->tokens += (double) (now_ns - limit->last_ns) * per_second / 1e9;
        limit->last_ns = now_ns;
        if (limit->tokens > burst)
                limit->tokens = burst;
        if (limit->tokens < 1) {
                limit->dropped++;
                return 0;
        }
        limit->tokens -= 1;
        return 1;
}
