/*
 * What a session reports: lines and states, in packets that cannot carry descriptors. It is taken for hostile.
 */
#include "serving_internal.h"

#include "array.h"
#include "clock_now.h"
#include "host.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum {
        REPORTS_MOST = 32, /* packets per wake-up */
        PACKETS_PER_SECOND = 200,
        PACKETS_BURST = 400,
        PAUSE_US = 100 * 1000,
        LINES_BURST = 3, /* times the lines of a second: an honest session keeps to twice as many */
};

static const char *const engine_names[] = { "none", "uring", "sync", "null" };

static void relay_line(struct serving *serving, struct packet *packet)
{
        struct ipc_log *line = (struct ipc_log *) packet->body;
        size_t n = strnlen(line->text, packet->header.length - offsetof(struct ipc_log, text));
        enum log_level level = line->level >= LOG_LEVEL_ERROR && line->level <= LOG_LEVEL_DEBUG
                                       ? (enum log_level) line->level
                                       : LOG_LEVEL_WARNING;

        if (!log_limit_take(&serving->lines, clock_now_ns(), serving->lines_per_s,
                            LINES_BURST * serving->lines_per_s))
                return;
        if (serving->lines.dropped) {
                log_warning(&serving->log->log, "session %u: %lu lines dropped", serving->id, serving->lines.dropped);
                serving->lines.dropped = 0;
        }
        log_clean(line->text, n);
        log_at(&serving->log->log, level, "%s %u: %.*s", line->from_worker ? "worker" : "session", serving->id, (int) n,
               line->text);
}

static void note_serving(struct serving *serving, const struct packet *packet)
{
        struct ipc_serving said;
        uint32_t lacks;

        memcpy(&said, packet->body, sizeof(said));
        serving->said = said;
        serving->ready = true;
        lacks = said.lacks | serving->host->privilege.lacks;
        log_info(&serving->log->log, "session %u: serving, engine %s%s%s%s%s", serving->id,
                 said.engine < ARRAY_SIZE(engine_names) ? engine_names[said.engine] : "?",
                 lacks & IPC_LAYER_NAMESPACES ? ", without namespaces" : "",
                 lacks & IPC_LAYER_UIDS ? ", without uids of its own" : "",
                 lacks & IPC_LAYER_LANDLOCK ? ", without landlock" : "",
                 lacks & IPC_LAYER_MDWE ? ", without mdwe" : "");
}

static int take_report(struct serving *serving, struct packet *packet)
{
        int r = ipc_check(&serving->peer, packet);

        if (r < 0)
                return r;
        if (packet->header.type == IPC_LOG)
                relay_line(serving, packet);
        else if (packet->header.type == IPC_SERVING)
                note_serving(serving, packet);
        return 0;
}

void serving_read_reports(struct serving *serving, unsigned most)
{
        struct packet packet;

        for (unsigned i = 0; i < most; i++) {
                int r = packet_read(serving->reports.num, &packet);

                if (r == -EAGAIN)
                        return;
                if (r == 0)
                        r = take_report(serving, &packet);
                if (r == 0)
                        continue;
                if (r != -ENODATA) {
                        log_warning(&serving->log->log, "session %u: bad packet (type %u, %u bytes): %s: killed",
                                    serving->id, packet.header.type, packet.header.length, log_errno(r));
                        serving_kill_child(serving, SERVING_SESSION);
                }
                serving->reports_source = sd_event_source_disable_unref(serving->reports_source);
                return;
        }
}

int serving_on_reports(sd_event_source *source, int fd, uint32_t events, void *context)
{
        struct serving *serving = context;

        (void) source;
        (void) fd;
        (void) events;
        if (log_limit_take(&serving->packets, clock_now_ns(), PACKETS_PER_SECOND / REPORTS_MOST + 1,
                           PACKETS_BURST / REPORTS_MOST))
                serving_read_reports(serving, REPORTS_MOST);
        else
                pause_source(&serving->reports_pause, &serving->reports_source, PAUSE_US); /* its pipe fills up */
        return 0;
}
