/*
 * The input is a hostile session: what it writes into its pipe to the broker. The broker's lines stay printable, and what
 * is no packet ends the reading.
 *
 * A record: type, how (bit 0: as long as its type says; bit 1: the header's length is a lie), length / 2, body.
 */
#include "host.h"
#include "serving_internal.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS = 64 };

static void hear(void *context, enum log_level level, const char *text)
{
        (void) context;
        if (level < LOG_LEVEL_ERROR || level > LOG_LEVEL_DEBUG)
                abort();
        for (; *text; text++)
                if (iscntrl((unsigned char) *text))
                        abort();
}

static size_t say(int pipe, const uint8_t *data, size_t size)
{
        struct {
                struct packet_header header;
                uint8_t body[PACKET_BODY_MAX];
        } packet = { .header = { .type = data[0], .length = data[2] * 2u } };
        const struct ipc_rule *rule = ipc_rule_of(data[0]);
        size_t given = packet.header.length < size - 3 ? packet.header.length : size - 3;

        memcpy(packet.body, data + 3, given);
        if (data[1] & 1 && rule)
                packet.header.length = rule->least;
        size = sizeof(packet.header) + packet.header.length;
        if (data[1] & 2)
                packet.header.length ^= data[1];
        if (write(pipe, &packet, size) < 0)
                abort();
        return 3 + given;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct broker_log log = { .log = { .sink = hear, .most = LOG_LEVEL_DEBUG } };
        struct host host = { .log = &log.log };
        struct serving serving = {
                .host = &host, .log = &log, .id = 1, .lines_per_s = 20,
                .child = { { .pidfd = FD_NONE }, { .pidfd = FD_NONE } },
                .peer = { .way = IPC_SESSION_TO_BROKER, .stage = IPC_UP },
        };
        int pair[2];

        if (pipe2(pair, O_DIRECT | O_NONBLOCK | O_CLOEXEC) < 0)
                abort();
        serving.reports.num = pair[0];
        for (unsigned i = 0; i < RECORDS && size > 3 && !serving.killed; i++) {
                size_t used = say(pair[1], data, size);

                data += used;
                size -= used;
                serving_read_reports(&serving, 2);
        }
        close(pair[0]);
        close(pair[1]);
        return 0;
}
