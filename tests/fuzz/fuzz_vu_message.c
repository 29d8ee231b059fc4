/*
 * The input is a front-end: messages with descriptors, well framed or not. The worker is honest, but refuses now and
 * then.
 *
 * A record: kind, request, length. Kind 0-1: a well-formed message of the usual course, 2: the same, but as many of
 * its bytes as the length says are changed; else bits 0-4: descriptors, bit 5: NEED_REPLY, bit 6: flags follow, bit 7:
 * no framing, bytes as they are; then the payload.
 */
#include "fuzz_session.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FDS_MAX = 20, BYTES_MAX = 300 };

static void usual(struct fuzz_session *fuzz, struct input *input, unsigned which, unsigned changes)
{
        struct fuzz_line line = fuzz_line(which);
        uint8_t change[2];

        while (changes-- && fuzz_take(input, change, sizeof(change)) == sizeof(change))
                line.bytes[change[0] % (line.size + 1)] ^= change[1];
        fuzz_message(fuzz, line.request, VU_VERSION | VU_FLAG_NEED_REPLY, line.bytes, line.size, line.n_fds);
}

static void unusual(struct fuzz_session *fuzz, struct input *input, const uint8_t head[3])
{
        uint32_t flags = VU_VERSION;
        uint8_t bytes[BYTES_MAX];
        size_t n;

        if (head[0] & 0x20)
                flags |= VU_FLAG_NEED_REPLY;
        if (head[0] & 0x40)
                fuzz_take(input, &flags, sizeof(flags));
        n = fuzz_take(input, bytes, head[2]);
        if (head[0] & 0x80)
                send(fuzz->front, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        else
                fuzz_message(fuzz, head[1], flags, bytes, (uint32_t) n, (head[0] & 0x1f) % FDS_MAX);
}

static void record(struct fuzz_session *fuzz, struct input *input)
{
        uint8_t head[3] = { 0 };

        fuzz_take(input, head, sizeof(head));
        if (head[0] <= 2)
                usual(fuzz, input, head[1], head[0] == 2 ? head[2] : 0);
        else
                unusual(fuzz, input, head);
        fuzz_run(fuzz, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input input = { data, size };
        uint64_t protocol = 0x19f32b; /* all that a session can */
        struct fuzz_session fuzz;

        fuzz_init(&fuzz);
        fuzz_ready(&fuzz);
        fuzz_message(&fuzz, VU_SET_PROTOCOL_FEATURES, VU_VERSION, &protocol, sizeof(protocol), 0);
        fuzz_run(&fuzz, 1);
        while (input.left && !fuzz.s->over)
                record(&fuzz, &input);
        fuzz_done(&fuzz);
        return 0;
}
