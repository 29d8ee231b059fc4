/*
 * The session's lines. Whatever a worker wrote is taken for hostile: level and characters are forced into range.
 */
#include "session_log.h"

#include "clock.h"
#include "ipc.h"
#include "limits.h"

#include <stdio.h>
#include <string.h>

static int send_line(struct session_log *log, uint32_t level, bool from_worker, const char *text, size_t n)
{
        struct ipc_log line = { .level = level, .from_worker = from_worker };

        if (n > sizeof(line.text) - 1)
                n = sizeof(line.text) - 1;
        memcpy(line.text, text, n);
        return packet_send(log->pipe, IPC_LOG, 0, &line, IPC_LOG_LEAST + n, NULL, 0);
}

static void write_line(struct session_log *log, uint32_t level, bool from_worker, const char *text, size_t n)
{
        char lost[64];

        if (!log_limit_take(&log->limit, clock_now_ns(), log->per_s, 2 * log->per_s))
                return;
        if (log->limit.dropped > log->told) {
                int length = snprintf(lost, sizeof(lost), "%lu lines dropped", log->limit.dropped - log->told);

                if (send_line(log, LOG_LEVEL_WARNING, false, lost, (size_t) length) == 0)
                        log->told = log->limit.dropped;
        }
        if (send_line(log, level, from_worker, text, n) < 0)
                log->limit.dropped++;
}

static void sink(void *context, enum log_level level, const char *text)
{
        write_line(context, level, false, text, strlen(text));
}

void session_log_init(struct session_log *log, int pipe)
{
        *log = (struct session_log){ .log = { .sink = sink, .context = log, .most = LOG_LEVEL_INFO }, .pipe = pipe,
                                     .per_s = LIMIT_LOG_PER_S };
}

void session_log_relay(struct session_log *log, uint32_t level, char *text, size_t n)
{
        n = strnlen(text, n);
        log_clean(text, n);
        if (level < LOG_LEVEL_ERROR)
                level = LOG_LEVEL_ERROR;
        if (level > log->log.most)
                return;
        write_line(log, level, true, text, n);
}
