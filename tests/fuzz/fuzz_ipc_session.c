/*
 * The input is a worker: packets, and when its front-end says its next message. The front-end is honest.
 *
 * A record: type (0xff: the front-end's next message; 0xfe: the worker hangs up and a successor comes; 0xfd: it answers
 * as it should), how (bit 0: the sequence that is waited for, bit 1: as long as the type says, bit 2: with a
 * descriptor), length, body.
 */
#include "fuzz_session.h"

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NEXT_MESSAGE = 0xff, NEXT_WORKER = 0xfe, HONEST_ANSWER = 0xfd, NEXT_SIZE = 0xfc };

static void next_message(struct fuzz_session *fuzz, unsigned *at)
{
        struct fuzz_line line = fuzz_line((*at)++);

        fuzz_message(fuzz, line.request, VU_VERSION | VU_FLAG_NEED_REPLY, line.bytes, line.size, line.n_fds);
}

static void next_worker(struct fuzz_session *fuzz)
{
        int pair[2];

        close(fuzz->worker);
        fuzz->worker = -1;
        fuzz_run(fuzz, 0);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return;
        packet_send(fuzz->broker, IPC_WORKER, 0, NULL, 0, &pair[0], 1);
        close(pair[0]);
        fuzz->worker = pair[1];
}

static void record(struct fuzz_session *fuzz, struct input *input, unsigned *message)
{
        uint8_t head[3] = { 0 }, body[PACKET_BODY_MAX] = { 0 };
        const struct ipc_rule *rule;
        uint32_t sequence = 0;
        size_t n;

        fuzz_take(input, head, sizeof(head));
        if (head[0] == NEXT_MESSAGE) {
                next_message(fuzz, message);
        } else if (head[0] == NEXT_WORKER) {
                next_worker(fuzz);
        } else if (head[0] == NEXT_SIZE) {
                packet_send(fuzz->broker, IPC_RESIZE, 0, body, sizeof(struct ipc_resize), NULL, 0);
        } else if (head[0] == HONEST_ANSWER) {
                fuzz_run(fuzz, 1);
        } else {
                rule = ipc_rule_of(head[0]);
                if (head[1] & 1)
                        sequence = fuzz->s->link.sequence;
                n = fuzz_take(input, body, head[2]);
                if (head[1] & 2 && rule)
                        n = rule->least;
                packet_send(fuzz->worker, head[0], sequence, body, n, &fuzz->memory, head[1] & 4 ? 1 : 0);
        }
        fuzz_run(fuzz, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input input = { data, size };
        struct fuzz_session fuzz;
        unsigned message = 0;

        fuzz_init(&fuzz);
        if (size % 2)
                fuzz_ready(&fuzz);
        while (input.left && !fuzz.s->over)
                record(&fuzz, &input, &message);
        fuzz_done(&fuzz);
        return 0;
}
