/*
 * A worker that was taken over. It is the real one, all its confinement included, up to the point where it would begin
 * to serve: if the first packet of its session is a command, it obeys from then on; else it is an honest worker.
 * With PollMaxUs=666 it does not even say READY as it should; the number of queues says what it does instead.
 */
#include "evil_worker.h"
#include "obey.h"
#include "worker.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void __real_loop_run(struct loop *l) __attribute__((noreturn));
void __wrap_loop_run(struct loop *l) __attribute__((noreturn));
void __real_link_ready(struct worker *w, uint32_t lacks);
void __wrap_link_ready(struct worker *w, uint32_t lacks);
int __real_io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p);

enum { CHANNEL = 0 };

/* The engine keeps its ring to itself; there is no other way to hand it on to who takes over. */
static struct io_uring *seized_ring;

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
        seized_ring = ring;
        return __real_io_uring_queue_init_params(entries, ring, p);
}

static void __attribute__((noreturn)) hang(void)
{
        uint32_t word = 0;

        for (;;)
                syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, NULL, NULL, 0);
}

static void wait_for_packet(const struct loop *l)
{
        struct epoll_event event;

        epoll_pwait(l->epoll.num, &event, 1, -1, NULL);
        if (event.data.u64 == CHANNEL && event.events & EPOLLHUP)
                _exit(0);
}

static bool is_command(const struct packet_header *header, const struct ipc_set_config *config)
{
        uint64_t magic;

        memcpy(&magic, config->bytes, sizeof(magic));
        return header->type == IPC_SET_CONFIG && magic == EVIL_MAGIC;
}

static bool command_is_next(const struct loop *l)
{
        struct packet_header header = { 0 };
        struct ipc_set_config config = { 0 };
        struct iovec parts[] = { { &header, sizeof(header) }, { &config, sizeof(config) } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

        while (recvmsg(CHANNEL, &message, MSG_PEEK | MSG_DONTWAIT) < 0)
                wait_for_packet(l);
        return is_command(&header, &config);
}

static void answer(uint32_t sequence, const struct evil_answer *said)
{
        const struct ipc_answer yes = { .result = 0 };
        struct ipc_config config = { .size = VU_CONFIG_MAX };

        if (said) {
                memcpy(config.bytes, said, sizeof(*said));
                packet_send(CHANNEL, IPC_CONFIG, 0, &config, sizeof(config), NULL, 0);
        }
        packet_send(CHANNEL, IPC_ANSWER, sequence, &yes, sizeof(yes), NULL, 0);
}

/* Statistics that change while they are read: one word everywhere, then a mix of the largest and the least. */
static void scribble(struct worker *w, const struct evil_command *command)
{
        uint64_t *word = (uint64_t *) w->stats, end = (uint64_t) clock_now_ns() + command->argument[0] * 1000000;
        size_t n = w->n_loops * (size_t) STATS_PAGE / sizeof(*word);

        for (uint64_t turn = command->number; (uint64_t) clock_now_ns() < end; turn = turn * UINT64_C(6364136223846793005) + 1)
                for (size_t i = 0; i < n; i++)
                        __atomic_store_n(&word[i], turn >> 63 ? UINT64_MAX - (turn >> 60 & 1) : turn >> (i & 63),
                                         __ATOMIC_RELAXED);
        for (size_t i = 0; i < n; i++)
                word[i] = command->number;
}

/* Says yes to everything, and keeps what descriptors it gets. */
static void obey(struct worker *w, struct packet *packet)
{
        const struct ipc_set_config *config = (const void *) packet->body;
        struct evil_command command;
        struct evil_answer said;

        if (!is_command(&packet->header, config)) {
                answer(packet->header.sequence, NULL);
                return;
        }
        memcpy(&command, config->bytes, sizeof(command));
        if (command.what == EVIL_HANG)
                hang();
        if (command.what == EVIL_STATS)
                scribble(w, &command);
        evil_obey(&command, seized_ring, &said);
        answer(packet->header.sequence, &said);
}

void __wrap_loop_run(struct loop *l)
{
        struct packet packet;
        int r;

        if (l->index != 0 || !command_is_next(l))
                __real_loop_run(l);
        for (;;) {
                r = packet_recv(CHANNEL, PACKET_FDS_MAX, &packet);
                if (r == -EAGAIN)
                        wait_for_packet(l);
                else if (r < 0)
                        _exit(1);
                else
                        obey(l->worker, &packet);
        }
}

static int send_bytes(uint8_t fill, size_t n)
{
        uint8_t bytes[600];
        struct iovec part = { bytes, n };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

        memset(bytes, fill, sizeof(bytes));
        return sendmsg(CHANNEL, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* An opening with something wrong in it. */
static int lie(const struct worker *w, enum evil_opening opening)
{
        struct ipc_ready ready = { .features = w->face.features, .device = w->device->id, .queues = 1,
                                   .queue_size_max = 128, .engine = w->face.engine };
        const struct ipc_answer nobody_asked = { .result = 0 };

        switch (opening) {
        case EVIL_OPENS_NOT:
                hang();
        case EVIL_OPENS_WITH_GARBAGE:
                return send_bytes(0xa5, 600);
        case EVIL_OPENS_WITH_HALF:
                return send_bytes(0, 3);
        case EVIL_OPENS_WITH_ANSWER:
                return packet_send(CHANNEL, IPC_ANSWER, 0, &nobody_asked, sizeof(nobody_asked), NULL, 0);
        case EVIL_OPENS_AS_ANOTHER:
                ready.device++;
                break;
        case EVIL_OPENS_WITH_QUEUES:
                ready.queues = UINT32_MAX;
                break;
        case EVIL_OPENS_WITH_CONFIG:
                ready.config_size = UINT32_MAX;
                break;
        case EVIL_OPENS_WITH_ENGINE:
                ready.engine = 1000;
                break;
        case EVIL_OPENS_TWICE:
                packet_send(CHANNEL, IPC_READY, 0, &ready, sizeof(ready), NULL, 0);
                break;
        case EVIL_OPENS_WITH_FDS:
                return packet_send(CHANNEL, IPC_READY, 0, &ready, sizeof(ready), (int[]){ CHANNEL }, 1);
        default:
                _exit(3);
        }
        return packet_send(CHANNEL, IPC_READY, 0, &ready, sizeof(ready), NULL, 0);
}

void __wrap_link_ready(struct worker *w, uint32_t lacks)
{
        if (w->loop[0].window.most != EVIL_POLL_MAX_US * 1000)
                __real_link_ready(w, lacks);
        else if (lie(w, (enum evil_opening) w->n_vrings) < 0)
                _exit(1);
}
