/*
 * The input is a session that turned hostile: packets to the worker, any type, any body, with descriptors of guest
 * memory or of nothing useful. The worker answers each exactly once, and keeps every descriptor accounted for.
 *
 * A record: type, number of descriptors (bit 7: the length is the table's own), length / 4, body.
 */
#include "fuzz_worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void send_packet(struct fuzz_worker *fuzz, unsigned type, unsigned n_fds, const uint8_t *body, size_t length)
{
        int fds[PACKET_FDS_MAX];

        for (unsigned i = 0; i < PACKET_FDS_MAX; i++)
                fds[i] = i ? fuzz->worker.link.channel : fuzz->file;
        packet_send(fuzz->session, (uint16_t) type, 7, body, length, fds, n_fds);
}

/* What ipc_check refuses ends a real worker, so it is not sent: the table has its own test. */
static bool is_legal(unsigned type, size_t length, unsigned n_fds)
{
        const struct ipc_rule *rule = ipc_rule_of(type);

        return rule && rule->way & IPC_SESSION_TO_WORKER && length == rule->most && n_fds >= rule->least_fds &&
               n_fds <= rule->most_fds;
}

static size_t record(struct fuzz_worker *fuzz, const uint8_t *data, size_t size)
{
        uint8_t body[PACKET_BODY_MAX] = { 0 };
        unsigned type = IPC_FEATURES + data[0] % (IPC_PING - IPC_FEATURES + 1), n_fds = data[1] % 4;
        size_t length = ipc_rule_of(type)->most, given = data[2] * 4u;

        if (given > size - 3)
                given = size - 3;
        memcpy(body, data + 3, given < length ? given : length);
        if (is_legal(type, length, n_fds)) {
                send_packet(fuzz, type, n_fds, body, length);
                link_serve(&fuzz->worker);
                fuzz_worker_round(fuzz);
        }
        return 3 + given;
}

/* Back to the first state, by the front door. */
static void reset(struct fuzz_worker *fuzz)
{
        const struct ipc_mem_table none = { 0 };

        send_packet(fuzz, IPC_RESET, 0, NULL, 0);
        for (int i = 0; i < 4; i++) {
                link_serve(&fuzz->worker);
                fuzz_worker_round(fuzz);
        }
        send_packet(fuzz, IPC_MEM_TABLE, 0, (const uint8_t *) &none, sizeof(none));
        for (int i = 0; i < 4; i++) {
                link_serve(&fuzz->worker);
                fuzz_worker_round(fuzz);
        }
        if (fuzz->worker.link.pending.type || fuzz->worker.mem.n)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct fuzz_worker *fuzz;

        if (!fuzz)
                fuzz = fuzz_worker_new();
        while (size > 3) {
                size_t used = record(fuzz, data, size);

                data += used;
                size -= used;
        }
        reset(fuzz);
        return 0;
}
