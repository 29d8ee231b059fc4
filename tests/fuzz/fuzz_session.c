/*
 * A whole session for the fuzzers.
 */
#include "fuzz_session.h"

#include "array.h"
#include "virtio.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MEMORY = 1 << 20, ROUNDS = 64, FDS_MAX = 20 };

#define MUST(condition)                                                                                              \
        do {                                                                                                         \
                if (!(condition)) {                                                                                  \
                        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                      \
                        abort();                                                                                     \
                }                                                                                                    \
        } while (0)

/* Descriptors that are open, among the low numbers: those are given out first. */
static unsigned open_fds(void)
{
        unsigned n = 0;

        for (int fd = 0; fd < 64; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void pair_of(int type, int pair[2])
{
        MUST(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) == 0);
}

void fuzz_init(struct fuzz_session *fuzz)
{
        int front[2], worker[2], broker[2], up[2];
        struct packet connection = { .n_fds = 2 };

        *fuzz = (struct fuzz_session){ .s = malloc(sizeof(*fuzz->s)), .random = 1, .open_before = open_fds() };
        fuzz->memory = memfd_create("fuzz", MFD_CLOEXEC);
        MUST(fuzz->s && fuzz->memory >= 0 && ftruncate(fuzz->memory, MEMORY) == 0);
        pair_of(SOCK_STREAM, front);
        pair_of(SOCK_SEQPACKET, worker);
        pair_of(SOCK_SEQPACKET, broker);
        MUST(pipe2(up, O_DIRECT | O_NONBLOCK | O_CLOEXEC) == 0);
        session_init(fuzz->s, (struct fd){ broker[0] }, (struct fd){ up[1] });
        fuzz->s->may_restart = true;
        fuzz->s->allowed = (struct ipc_connection){ .device = VIRTIO_ID_BLOCK, .features = UINT64_MAX,
                                                    .protocol_features = UINT64_MAX, .queues = 4,
                                                    .queue_size = 1024,
                                                    .limits = { .setup_ms = 30000, .handshake_ms = 5000, .partial_ms = 1000,
                                                               .reply_ms = 5000, .messages_per_s = 1000,
                                                               .messages_burst = 4000, .regions = VU_MEM_SLOTS,
                                                               .log_per_s = 10, .memory = UINT64_C(4) << 40 } };
        connection.fd[0].num = front[0];
        connection.fd[1].num = worker[0];
        session_open(fuzz->s, &connection);
        fuzz->front = front[1];
        fuzz->worker = worker[1];
        fuzz->broker = broker[1];
        fuzz->pipe = up[0];
}

void fuzz_ready(struct fuzz_session *fuzz)
{
        struct ipc_ready ready = { .features = UINT64_MAX, .device = VIRTIO_ID_BLOCK, .queues = 4,
                                   .queue_size_max = 1024, .engine = IPC_ENGINE_SYNC, .config_size = 96 };

        packet_send(fuzz->worker, IPC_READY, 0, &ready, sizeof(ready), NULL, 0);
        fuzz_run(fuzz, 1);
}

void fuzz_done(struct fuzz_session *fuzz)
{
        session_done(fuzz->s);
        free(fuzz->s);
        close(fuzz->front);
        close(fuzz->worker);
        close(fuzz->broker);
        close(fuzz->pipe);
        close(fuzz->memory);
        MUST(open_fds() == fuzz->open_before);
}

/* No two regions share a byte, none wraps; what is started lies in memory. */
static void check_ledger(const struct ledger *ledger)
{
        for (unsigned i = 0; i < ledger->n_slots; i++) {
                const struct ipc_region *a = &ledger->region[i].at;

                if (!fd_has(&ledger->region[i].fd))
                        continue;
                MUST(a->size && a->gpa + a->size > a->gpa && a->uva + a->size > a->uva);
                MUST(a->offset + a->size <= MEMORY);
                for (unsigned j = 0; j < i; j++) {
                        const struct ipc_region *b = &ledger->region[j].at;

                        if (!fd_has(&ledger->region[j].fd))
                                continue;
                        MUST(a->gpa + a->size <= b->gpa || b->gpa + b->size <= a->gpa);
                        MUST(a->uva + a->size <= b->uva || b->uva + b->size <= a->uva);
                }
        }
        for (unsigned i = 0; i < ledger->n_vrings; i++)
                if (ledger->vring[i].state == VRING_STARTED)
                        MUST(ledger_vring_in_memory(ledger, &ledger->vring[i]) && fd_has(&ledger->inflight.fd));
}

static void serve(struct fuzz_session *fuzz)
{
        struct ipc_peer peer = { .way = IPC_SESSION_TO_WORKER, .stage = IPC_UP };
        struct ipc_answer answer = { 0 };
        struct packet packet;

        while (packet_recv(fuzz->worker, PACKET_FDS_MAX, &packet) == 0) {
                MUST(ipc_check(&peer, &packet) == 0);
                fuzz->random = fuzz->random * 1103515245 + 12345;
                answer.result = fuzz->random >> 16 & 7 ? 0 : -12;
                answer.value = fuzz->random >> 20;
                packet_send(fuzz->worker, IPC_ANSWER, packet.header.sequence, &answer, sizeof(answer), NULL, 0);
                packet_done(&packet);
        }
}

static void drain(int fd)
{
        char bytes[4096];
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec part = { bytes, sizeof(bytes) };

        for (;;) {
                struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                          .msg_controllen = sizeof(control) };
                int got;

                if (recvmsg(fd, &message, MSG_DONTWAIT) <= 0)
                        return;
                if (!CMSG_FIRSTHDR(&message))
                        continue;
                memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(got));
                close(got);
        }
}

static bool has_input(int fd)
{
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

        return fd >= 0 && poll(&poll_fd, 1, 0) > 0;
}

void fuzz_run(struct fuzz_session *fuzz, int answer)
{
        struct session *s = fuzz->s;

        for (unsigned i = 0; i < ROUNDS && !s->over; i++) {
                size_t got = s->msg.got;
                bool idle = link_idle(&s->link) && !s->handling && !s->out.length;

                session_step(s, 0);
                if (answer)
                        serve(fuzz);
                drain(fuzz->front);
                check_ledger(&s->ledger);
                if (idle && got == s->msg.got && !has_input(s->front.num) && !has_input(s->link.channel.num))
                        return;
        }
}

void fuzz_message(struct fuzz_session *fuzz, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
                  unsigned n_fds)
{
        struct vu_header header = { request, flags, size };
        struct iovec parts[] = { { &header, sizeof(header) }, { (void *) payload, size } };
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control = { 0 };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = size ? 2 : 1 };

        if (n_fds) {
                control.item = (struct cmsghdr){ .cmsg_len = CMSG_LEN(n_fds * sizeof(int)), .cmsg_level = SOL_SOCKET,
                                                 .cmsg_type = SCM_RIGHTS };
                for (unsigned i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(&control.item) + i * sizeof(int), &fuzz->memory, sizeof(int));
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        }
        sendmsg(fuzz->front, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

struct line {
        uint32_t request, size;
        unsigned n_fds;
        union {
                uint64_t u64;
                struct vu_vring_state vring;
                struct vu_vring_addr addr;
                struct vu_mem_table table;
                struct vu_mem_reg region;
                struct vu_config config;
                struct vu_inflight inflight;
        };
};

/* A whole life: negotiation, memory, a vring that starts, changes, stops. */
static const struct line script[] = {
        { VU_SET_PROTOCOL_FEATURES, 8, 0, { .u64 = 0x19f32b } },
        { VU_SET_FEATURES, 8, 0, { .u64 = VIRTIO_BIT(VIRTIO_F_VERSION_1) } },
        { VU_POSTCOPY_ADVISE, 0, 0, { .u64 = 0 } },
        { VU_POSTCOPY_LISTEN, 0, 0, { .u64 = 0 } },
        { VU_SET_MEM_TABLE, 40, 1, { .table = { .n = 1, .region = { { .size = 1 << 20, .uva = 1 << 20 } } } } },
        { VU_SET_VRING_NUM, 8, 0, { .vring = { 0, 128 } } },
        { VU_SET_VRING_ADDR, 40, 0, { .addr = { 0, 0, 0x100000, 0x110000, 0x120000, 0 } } },
        { VU_SET_VRING_CALL, 8, 1, { .u64 = 0 } },
        { VU_SET_VRING_KICK, 8, 1, { .u64 = 0 } },
        { VU_SET_VRING_ENABLE, 8, 0, { .vring = { 0, 1 } } },
        { VU_VRING_KICK, 8, 0, { .vring = { 0, 0 } } },
        { VU_SET_BACKEND_REQ_FD, 0, 0, { .u64 = 0 } },
        { VU_SET_CONFIG, 13, 0, { .config = { .offset = 32, .size = 1 } } },
        { VU_SET_VRING_NUM, 8, 0, { .vring = { 0, 64 } } },
        { VU_SET_VRING_KICK, 8, 1, { .u64 = 0 } },
        { VU_GET_VRING_BASE, 8, 0, { .vring = { 0, 0 } } },
        { VU_VRING_KICK, 8, 0, { .vring = { 0, 0 } } },
        { VU_SET_INFLIGHT_FD, 24, 1, { .inflight = { .size = 8192, .queues = 1, .queue_size = 128 } } },
        { VU_SET_VRING_KICK, 8, 1, { .u64 = 0 } },
        { VU_GET_INFLIGHT_FD, 24, 0, { .inflight = { .queues = 4, .queue_size = 1024 } } },
        { VU_ADD_MEM_REG, 40, 1, { .region = { .region = { .gpa = 1 << 20, .size = 1 << 20, .uva = 1 << 21 } } } },
        { VU_REM_MEM_REG, 40, 0, { .region = { .region = { .gpa = 1 << 20, .size = 1 << 20, .uva = 1 << 21 } } } },
        { VU_POSTCOPY_END, 0, 0, { .u64 = 0 } },
        { VU_GET_CONFIG, 20, 0, { .config = { .offset = 92, .size = 8 } } },
        { VU_RESET_DEVICE, 0, 0, { .u64 = 0 } },
};

struct fuzz_line fuzz_line(unsigned i)
{
        const struct line *line = &script[i % ARRAY_SIZE(script)];
        struct fuzz_line it = { .request = line->request, .size = line->size, .n_fds = line->n_fds };

        memcpy(it.bytes, &line->u64, line->size);
        return it;
}

size_t fuzz_take(struct input *input, void *ret, size_t n)
{
        if (n > input->left)
                n = input->left;
        if (n)
                memcpy(ret, input->at, n);
        input->at += n;
        input->left -= n;
        return n;
}
