/*
 * Where the broker's lines go.
 */
#include "broker_log.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

static void to_journal(const struct broker_log *log, enum log_level level, const char *text)
{
        if (log->device)
                sd_journal_send("MESSAGE=%s: %s", log->device, text, "PRIORITY=%i", (int) level, "VHOST_DEVICE=%s",
                                log->device, "VHOST_SESSION=%u", log->session, NULL);
        else
                sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", (int) level, NULL);
}

static void sink(void *context, enum log_level level, const char *text)
{
        const struct broker_log *log = context;

        if (log->journal)
                to_journal(log, level, text);
        else if (log->device)
                fprintf(stderr, "vhost-broker: %s: %s\n", log->device, text);
        else
                fprintf(stderr, "vhost-broker: %s\n", text);
}

/* systemd.exec(5), JOURNAL_STREAM: "device:inode" of the stream, to be compared with what we have. */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat status;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
               status.st_dev == device && status.st_ino == inode;
}

void broker_log_init(struct broker_log *log, const char *device, enum log_level most)
{
        *log = (struct broker_log){
                .journal = stderr_is_journal(),
                .device = device,
                .log = { .sink = sink, .context = log, .most = most },
        };
}
