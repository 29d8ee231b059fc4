/*
 * The played front-end, worker and broker.
 */
#include "rig.h"

#include "array.h"
#include "virtio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int open_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int n = 0;

        ck_assert_ptr_nonnull(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void pair_of(int type, int pair[2])
{
        ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
}

void rig_init_early(struct rig *rig)
{
        int front[2], worker[2], broker[2], up[2];
        struct packet connection = { .n_fds = 2 };

        *rig = (struct rig){ .fds_before = open_fds() };
        rig->s = malloc(sizeof(*rig->s));
        memset(rig->s, 0xa5, sizeof(*rig->s)); /* whatever is not set must not be used */
        rig->seen = calloc(RIG_SEEN, sizeof(*rig->seen));
        pair_of(SOCK_STREAM, front);
        pair_of(SOCK_SEQPACKET, worker);
        pair_of(SOCK_SEQPACKET, broker);
        ck_assert_int_eq(pipe2(up, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
        ck_assert_int_ge(fcntl(up[1], F_SETPIPE_SZ, 1 << 20), 0);
        session_init(rig->s, (struct fd){ broker[0] }, (struct fd){ up[1] });
        rig->s->allowed = (struct ipc_connection){ .device = VIRTIO_ID_BLOCK, .features = RIG_FEATURES,
                                                   .protocol_features = RIG_PROTOCOL, .queues = RIG_QUEUES,
                                                   .queue_size = RIG_QUEUE_SIZE,
                                                   .limits = { .setup_ms = 30000, .handshake_ms = 5000, .partial_ms = 1000,
                                                               .reply_ms = 5000, .messages_per_s = 1000,
                                                               .messages_burst = RIG_MESSAGES_BURST, .regions = VU_MEM_SLOTS,
                                                               .log_per_s = RIG_LOG_BURST / 2, .memory = RIG_MEMORY_MOST } };
        connection.fd[0].num = front[0];
        connection.fd[1].num = worker[0];
        session_open(rig->s, &connection);
        rig->front = front[1];
        rig->worker = worker[1];
        rig->broker = broker[1];
        rig->pipe = up[0];
}

void rig_ready(struct rig *rig)
{
        struct ipc_ready ready = { .features = UINT64_MAX, .device = VIRTIO_ID_BLOCK, .queues = RIG_QUEUES,
                                   .queue_size_max = RIG_QUEUE_SIZE, .engine = IPC_ENGINE_SYNC,
                                   .config_size = RIG_CONFIG };

        for (unsigned i = 0; i < RIG_CONFIG; i++)
                rig->config[i] = (uint8_t) (i + 1);
        memcpy(ready.config, rig->config, sizeof(ready.config));
        rig_from_worker(rig, IPC_READY, 0, &ready, sizeof(ready));
}

void rig_init(struct rig *rig)
{
        rig_init_early(rig);
        rig_ready(rig);
        ck_assert(!rig->s->over);
        ck_assert_uint_eq(rig->n_serving, 1);
}

void rig_next_worker(struct rig *rig)
{
        int pair[2];

        pair_of(SOCK_SEQPACKET, pair);
        ck_assert_int_eq(packet_send(rig->broker, IPC_WORKER, 0, NULL, 0, &pair[0], 1), 0);
        close(pair[0]);
        rig->worker = pair[1];
        rig_run(rig);
}

void rig_done(struct rig *rig)
{
        const int ours[] = { rig->front, rig->worker, rig->broker, rig->pipe };

        session_done(rig->s);
        for (unsigned i = 0; i < ARRAY_SIZE(ours); i++)
                if (ours[i] >= 0)
                        close(ours[i]);
        free(rig->s);
        free(rig->seen);
        ck_assert_int_eq(open_fds(), rig->fds_before);
}

static bool read_pipe(struct rig *rig)
{
        struct packet packet;
        struct ipc_peer peer = { .way = IPC_SESSION_TO_BROKER, .stage = IPC_UP };

        if (packet_read(rig->pipe, &packet) < 0)
                return false;
        ck_assert_int_eq(ipc_check(&peer, &packet), 0);
        if (packet.header.type == IPC_SERVING)
                rig->n_serving++;
        else if (packet.header.type == IPC_WANT_WORKER)
                rig->n_wanted++;
        else if (rig->n_lines < RIG_LINES)
                strcpy(rig->line[rig->n_lines++], ((struct ipc_log *) packet.body)->text);
        return true;
}

static void send_config(const struct rig *rig, bool notify)
{
        struct ipc_config config = { .notify = notify, .size = RIG_CONFIG };

        memcpy(config.bytes, rig->config, sizeof(config.bytes));
        ck_assert_int_eq(packet_send(rig->worker, IPC_CONFIG, 0, &config, sizeof(config), NULL, 0), 0);
}

void rig_tell_config(struct rig *rig, bool notify)
{
        send_config(rig, notify);
        rig_run(rig);
}

/* Takes all that is written, and says so first. */
static void take_config(struct rig *rig, const struct ipc_set_config *what)
{
        ck_assert_uint_le(what->offset + what->size, RIG_CONFIG);
        memcpy(rig->config + what->offset, what->bytes, what->size);
        send_config(rig, false);
}

static void answer(struct rig *rig, const struct packet_header *header, const void *body)
{
        struct ipc_answer it = { .value = rig->value };

        if (!rig->refuse_type || rig->refuse_type == header->type)
                it.result = rig->refuse;
        if (header->type == IPC_SET_CONFIG && it.result == 0)
                take_config(rig, body);
        ck_assert_int_eq(packet_send(rig->worker, IPC_ANSWER, header->sequence, &it, sizeof(it), NULL, 0), 0);
}

static bool serve_worker(struct rig *rig)
{
        struct ipc_peer peer = { .way = IPC_SESSION_TO_WORKER, .stage = IPC_UP };
        struct packet packet;
        struct rig_packet *seen;

        if (rig->worker < 0 || packet_recv(rig->worker, PACKET_FDS_MAX, &packet) < 0)
                return false;
        ck_assert_int_eq(ipc_check(&peer, &packet), 0);
        ck_assert_uint_lt(rig->n_seen, RIG_SEEN);
        seen = &rig->seen[rig->n_seen++];
        seen->header = packet.header;
        seen->n_fds = packet.n_fds;
        memcpy(seen->body, packet.body, packet.header.length);
        packet_done(&packet);
        if (!rig->silent)
                answer(rig, &seen->header, seen->body);
        return true;
}

/* Would the session do anything now? Its own choice of events decides. */
static bool step(struct rig *rig)
{
        struct session *s = rig->s;
        size_t got = s->msg.got, sent = s->out.sent, length = s->out.length;
        uint32_t sequence = s->link.sequence;
        bool handling = s->handling, over = s->over, unsent = s->link.unsent;
        unsigned busy = s->link.busy;
        int channel = s->link.channel.num;

        if (s->over)
                return false;
        session_step(s, 0);
        return got != s->msg.got || sent != s->out.sent || length != s->out.length || sequence != s->link.sequence ||
               handling != s->handling || over != s->over || unsent != s->link.unsent || busy != s->link.busy ||
               channel != s->link.channel.num;
}

static bool has_input(int fd)
{
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

        return fd >= 0 && poll(&poll_fd, 1, 0) > 0;
}

void rig_run(struct rig *rig)
{
        for (unsigned quiet = 0; quiet < 3;) {
                bool moved = step(rig) || has_input(rig->s->link.channel.num);

                while (serve_worker(rig))
                        moved = true;
                while (read_pipe(rig))
                        moved = true;
                quiet = moved && !rig->s->over ? 0 : quiet + 1;
        }
}

void rig_send(struct rig *rig, uint32_t request, uint32_t flags, const void *payload, uint32_t size, const int *fds,
              unsigned n_fds)
{
        struct vu_header header = { .request = request, .flags = flags, .size = size };
        struct iovec parts[] = { { &header, sizeof(header) }, { (void *) payload, size } };
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(32 * sizeof(int))];
        } control = { 0 };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = size ? 2 : 1 };

        if (n_fds) {
                control.item = (struct cmsghdr){ .cmsg_len = CMSG_LEN(n_fds * sizeof(int)), .cmsg_level = SOL_SOCKET,
                                                 .cmsg_type = SCM_RIGHTS };
                memcpy(CMSG_DATA(&control.item), fds, n_fds * sizeof(int));
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        }
        ck_assert_int_eq(sendmsg(rig->front, &message, MSG_NOSIGNAL), (int) (sizeof(header) + size));
        rig_run(rig);
}

int rig_reply(struct rig *rig, uint32_t request, void *ret_payload, size_t room, int *ret_fd)
{
        struct vu_header header;
        struct iovec part = { &header, sizeof(header) };
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof(control) };

        if (recvmsg(rig->front, &message, MSG_DONTWAIT) != sizeof(header))
                return -1;
        ck_assert_uint_eq(header.request, request);
        ck_assert_uint_eq(header.flags, 5);
        ck_assert_uint_le(header.size, room);
        if (header.size)
                ck_assert_int_eq(recv(rig->front, ret_payload, header.size, MSG_DONTWAIT), (int) header.size);
        ck_assert_int_eq(CMSG_FIRSTHDR(&message) != NULL, ret_fd != NULL);
        if (ret_fd)
                memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
        return (int) header.size;
}

uint64_t rig_ask(struct rig *rig, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned n_fds)
{
        uint64_t value;

        rig_send(rig, request, VU_VERSION | VU_FLAG_NEED_REPLY, payload, size, fds, n_fds);
        ck_assert_int_eq(rig_reply(rig, request, &value, sizeof(value), NULL), sizeof(value));
        ck_assert_int_eq(rig_reply(rig, request, &value, sizeof(value), NULL), -1);
        return value;
}

void rig_tell(struct rig *rig, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned n_fds)
{
        char byte;

        rig_send(rig, request, VU_VERSION, payload, size, fds, n_fds);
        ck_assert_msg(!rig->s->over, "request %u: %s", request, rig->n_lines ? rig->line[rig->n_lines - 1] : "");
        ck_assert_int_eq(recv(rig->front, &byte, 1, MSG_DONTWAIT), -1);
}

void rig_tell_u64(struct rig *rig, uint32_t request, uint64_t value)
{
        rig_tell(rig, request, &value, sizeof(value), NULL, 0);
}

void rig_tell_state(struct rig *rig, uint32_t request, uint32_t index, uint32_t num)
{
        struct vu_vring_state state = { index, num };

        rig_tell(rig, request, &state, sizeof(state), NULL, 0);
}

void rig_tell_fd(struct rig *rig, uint32_t request, uint64_t word)
{
        int fd = rig_file(0);

        rig_tell(rig, request, &word, sizeof(word), &fd, 1);
        close(fd);
}

uint64_t rig_get(struct rig *rig, uint32_t request)
{
        uint64_t value;

        rig_send(rig, request, VU_VERSION, NULL, 0, NULL, 0);
        ck_assert_int_eq(rig_reply(rig, request, &value, sizeof(value), NULL), sizeof(value));
        return value;
}

void rig_from_worker(struct rig *rig, uint16_t type, uint32_t sequence, const void *body, size_t size)
{
        ck_assert_int_eq(packet_send(rig->worker, type, sequence, body, size, NULL, 0), 0);
        rig_run(rig);
}

const void *rig_got(struct rig *rig, unsigned type)
{
        ck_assert_uint_gt(rig->n_seen, 0);
        ck_assert_uint_eq(rig->seen[rig->n_seen - 1].header.type, type);
        return rig->seen[rig->n_seen - 1].body;
}

unsigned rig_count(const struct rig *rig, unsigned type)
{
        unsigned n = 0;

        for (unsigned i = 0; i < rig->n_seen; i++)
                n += rig->seen[i].header.type == type;
        return n;
}

void rig_forget(struct rig *rig)
{
        rig->n_seen = 0;
}

bool rig_logged(const struct rig *rig, const char *text)
{
        for (unsigned i = 0; i < rig->n_lines; i++)
                if (strstr(rig->line[i], text))
                        return true;
        return false;
}

int rig_file(uint64_t bytes)
{
        int fd = memfd_create("test", MFD_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, (off_t) bytes), 0);
        return fd;
}

void rig_negotiate(struct rig *rig, uint64_t protocol)
{
        rig_tell_u64(rig, VU_SET_PROTOCOL_FEATURES, protocol);
        rig_tell_u64(rig, VU_SET_FEATURES, VERSION_1 | BIT30);
}

void rig_memory(struct rig *rig)
{
        struct vu_mem_table table = { .n = 1, .region = { { .size = RIG_MEMORY, .uva = RIG_UVA } } };
        int fd = rig_file(RIG_MEMORY);

        rig_tell(rig, VU_SET_MEM_TABLE, &table, 40, &fd, 1);
        close(fd);
}

struct vu_vring_addr rig_addr(uint32_t index)
{
        uint64_t at = RIG_UVA + index * UINT64_C(0x10000);

        return (struct vu_vring_addr){ .index = index, .desc = at, .avail = at + 0x4000, .used = at + 0x8000 };
}

void rig_start(struct rig *rig, uint32_t index)
{
        struct vu_vring_addr addr = rig_addr(index);

        rig_tell_state(rig, VU_SET_VRING_NUM, index, 128);
        rig_tell_state(rig, VU_SET_VRING_BASE, index, 0);
        rig_tell(rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        rig_tell_fd(rig, VU_SET_VRING_CALL, index);
        rig_tell_fd(rig, VU_SET_VRING_KICK, index);
        ck_assert_int_eq(rig->s->ledger.vring[index].state, VRING_STARTED);
}

int rig_main(const char *name, const TTest *const *const *tests, size_t n)
{
        Suite *suite = suite_create(name);
        TCase *all = tcase_create("all");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(all, 60);
        for (size_t i = 0; i < n; i++)
                tcase_add_test(all, *tests[i]);
        suite_add_tcase(suite, all);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
