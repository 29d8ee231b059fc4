/*
 * The rig: see rig.h.
 */
#include "rig.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RING_ROOM = 64 << 10, AVAIL_AT = 16 << 10, USED_AT = 32 << 10 };

static unsigned count_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        ck_assert_ptr_nonnull(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static int memfd(const char *name, off_t size)
{
        int fd = memfd_create(name, MFD_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, size), 0);
        return fd;
}

static void wait_for(int fd)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };

        ck_assert_msg(poll(&p, 1, RIG_WAIT_MS) == 1, "nothing came");
}

struct ipc_device rig_device(enum ipc_engine engine, uint64_t capacity)
{
        struct ipc_device device = {
                .device = VIRTIO_ID_BLOCK,
                .queues = RIG_QUEUES,
                .threads = 1,
                .queue_size = 1024,
                .features = UINT64_MAX,
                .may_lack = IPC_LAYER_LANDLOCK | IPC_LAYER_MDWE,
                .block = { .engine = engine, .block_size = 512, .physical_size = 4096, .capacity = capacity,
                           .discard = 1, .serial = "rig-0123456789abcdef" },
        };

        return device;
}

static void become_worker(const struct rig *rig, int channel)
{
        char *const argv[] = { "vhost-worker", NULL }, *const envp[] = { NULL };

        for (int fd = 0; fd < 3; fd++)
                if (dup2(channel, fd) != fd)
                        _exit(126);
        close_range(3, ~0U, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (rig->run)
                rig->run();
        execve(getenv("VHOST_WORKER"), argv, envp);
        _exit(127);
}

static void note(struct rig *rig, const struct packet *packet)
{
        const struct ipc_vring_broken *broken = (const void *) packet->body;
        const struct ipc_log *log = (const void *) packet->body;

        switch (packet->header.type) {
        case IPC_VRING_BROKEN:
                rig->broken |= 1u << broken->index;
                break;
        case IPC_CONFIG:
                rig->configs++;
                memcpy(&rig->config, packet->body, sizeof(rig->config));
                break;
        case IPC_WORKER_LOG:
                fprintf(stderr, "worker: %s\n", log->text);
                break;
        case IPC_READY:
                memcpy(&rig->ready, packet->body, sizeof(rig->ready));
                break;
        }
}

/* Takes one packet; false if the worker has hung up. */
static bool next_packet(struct rig *rig, struct packet *packet)
{
        int r;

        wait_for(rig->channel);
        r = packet_recv(rig->channel, 0, packet);
        if (r == -ENODATA)
                return false;
        ck_assert_int_eq(r, 0);
        note(rig, packet);
        return true;
}

void rig_spawn(struct rig *rig)
{
        int pair[2], fence[2];
        struct packet packet = { 0 };

        ck_assert_msg(rig->run || getenv("VHOST_WORKER"), "VHOST_WORKER names no program");
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(pipe2(fence, O_CLOEXEC), 0);
        rig->channel = pair[0];
        rig->fence = fence[0];
        ck_assert_int_eq(packet_send(pair[0], IPC_DEVICE, 0, &rig->device, sizeof(rig->device),
                                     (int[]){ fence[1], rig->statistics, rig->disk }, rig->disk < 0 ? 2 : 3), 0);
        rig->worker = fork();
        ck_assert_int_ge(rig->worker, 0);
        if (rig->worker == 0)
                become_worker(rig, pair[1]);
        close(pair[1]);
        close(fence[1]);
        while (packet.header.type != IPC_READY)
                ck_assert_msg(next_packet(rig, &packet), "the worker has ended before READY");
}

static void ring_init(struct rig *rig, unsigned index)
{
        char *room = rig->guest + index * RING_ROOM;

        rig->ring[index] = (struct rig_ring){ .index = index,
                                              .desc = (void *) room,
                                              .avail = (void *) (room + AVAIL_AT),
                                              .used = (void *) (room + USED_AT),
                                              .kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                              .call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                              .err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
}

static void make_guest(struct rig *rig)
{
        size_t area = RIG_QUEUES * vu_inflight_bytes(RIG_RING, false);

        rig->memory = memfd("guest", RIG_MEMORY);
        rig->area = memfd("inflight", (off_t) area);
        rig->statistics = memfd("statistics", (off_t) rig->device.threads * STATS_PAGE);
        rig->guest = mmap(NULL, RIG_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, rig->memory, 0);
        rig->guest_area = mmap(NULL, area, PROT_READ | PROT_WRITE, MAP_SHARED, rig->area, 0);
        ck_assert_ptr_ne(rig->guest, MAP_FAILED);
        ck_assert_ptr_ne(rig->guest_area, MAP_FAILED);
        for (unsigned i = 0; i < RIG_QUEUES; i++)
                ring_init(rig, i);
}

void rig_init(struct rig *rig, const struct ipc_device *device, int disk)
{
        *rig = (struct rig){ .device = *device, .disk = disk, .fds_before = count_fds() };
        make_guest(rig);
        rig_spawn(rig);
}

void rig_init_own(struct rig *rig, const struct ipc_device *device, int disk, void (*run)(void))
{
        *rig = (struct rig){ .device = *device, .disk = disk, .fds_before = count_fds(), .run = run };
        make_guest(rig);
        rig_spawn(rig);
}

static void forget_worker(struct rig *rig)
{
        close(rig->channel);
        close(rig->fence);
}

/* The read end of the fence hangs up when nothing of the worker is left. */
static void wait_for_fence(const struct rig *rig)
{
        char byte;

        wait_for(rig->fence);
        ck_assert_int_eq(read(rig->fence, &byte, 1), 0);
}

void rig_kill(struct rig *rig)
{
        int status;

        kill(rig->worker, SIGKILL);
        ck_assert_int_eq(waitpid(rig->worker, &status, 0), rig->worker);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        wait_for_fence(rig);
        forget_worker(rig);
}

void rig_done(struct rig *rig)
{
        int status;

        shutdown(rig->channel, SHUT_RDWR);
        ck_assert_int_eq(waitpid(rig->worker, &status, 0), rig->worker);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the worker ended with status 0x%x", status);
        rig_forget(rig);
}

void rig_forget(struct rig *rig)
{
        wait_for_fence(rig);
        forget_worker(rig);
        for (unsigned i = 0; i < RIG_QUEUES; i++) {
                close(rig->ring[i].kick);
                close(rig->ring[i].call);
                close(rig->ring[i].err);
        }
        munmap(rig->guest, RIG_MEMORY);
        munmap(rig->guest_area, RIG_QUEUES * vu_inflight_bytes(RIG_RING, false));
        close(rig->memory);
        close(rig->area);
        close(rig->statistics);
        ck_assert_uint_eq(count_fds(), rig->fds_before);
}

struct ipc_answer rig_next_answer(struct rig *rig)
{
        struct packet packet = { 0 };
        struct ipc_answer answer;

        while (packet.header.type != IPC_ANSWER)
                ck_assert_msg(next_packet(rig, &packet), "the worker has ended");
        memcpy(&answer, packet.body, sizeof(answer));
        answer.reserved = packet.header.sequence;
        return answer;
}

uint32_t rig_send(struct rig *rig, enum ipc_type type, const void *body, size_t n)
{
        ck_assert_int_eq(packet_send(rig->channel, type, ++rig->sequence, body, n, NULL, 0), 0);
        return rig->sequence;
}

int rig_ask(struct rig *rig, enum ipc_type type, const void *body, size_t n, const int *fds, unsigned n_fds,
            uint64_t *ret_value)
{
        struct ipc_answer answer;

        ck_assert_int_eq(packet_send(rig->channel, type, ++rig->sequence, body, n, fds, n_fds), 0);
        answer = rig_next_answer(rig);
        ck_assert_uint_eq(answer.reserved, rig->sequence);
        if (ret_value)
                *ret_value = answer.value;
        return answer.result;
}

void rig_configure(struct rig *rig, uint64_t acked)
{
        struct ipc_features features = { .acked = acked & rig->ready.features };
        struct ipc_mem_table table = { .n = 2 };
        struct ipc_inflight area = { .size = RIG_QUEUES * vu_inflight_bytes(RIG_RING, false), .queues = RIG_QUEUES,
                                     .queue_size = RIG_RING };
        int memory[] = { rig->memory, rig->memory };

        /* Two regions, so that buffers may cross from one into the other. */
        table.region[0] = (struct ipc_region){ RIG_GPA, RIG_UVA, RIG_MEMORY / 2, 0 };
        table.region[1] = (struct ipc_region){ RIG_GPA + RIG_MEMORY / 2, RIG_UVA + RIG_MEMORY, RIG_MEMORY / 2,
                                               RIG_MEMORY / 2 };
        ck_assert_int_eq(rig_ask(rig, IPC_FEATURES, &features, sizeof(features), NULL, 0, NULL), 0);
        ck_assert_int_eq(rig_ask(rig, IPC_MEM_TABLE, &table, sizeof(table), memory, 2, NULL), 0);
        ck_assert_int_eq(rig_ask(rig, IPC_INFLIGHT, &area, sizeof(area), &rig->area, 1, NULL), 0);
}

static int ring_start(struct rig *rig, unsigned index, bool resume, bool enabled)
{
        struct rig_ring *ring = &rig->ring[index];
        uint64_t at = RIG_UVA + index * RING_ROOM;
        struct ipc_vring_start start = { .index = index, .size = RIG_RING, .desc = at, .avail = at + AVAIL_AT,
                                         .used = at + USED_AT, .base = le16toh(ring->used->idx),
                                         .enabled = enabled, .resume = resume,
                                         .fds = IPC_KICK | IPC_CALL | IPC_ERR };

        return rig_ask(rig, IPC_VRING_START, &start, sizeof(start), (int[]){ ring->kick, ring->call, ring->err }, 3,
                       NULL);
}

int rig_ring_start(struct rig *rig, unsigned index, bool resume)
{
        return ring_start(rig, index, resume, true);
}

int rig_ring_start_off(struct rig *rig, unsigned index, bool resume)
{
        return ring_start(rig, index, resume, false);
}

uint32_t rig_ring_stop(struct rig *rig, unsigned index)
{
        struct ipc_vring_stop stop = { .index = index };
        uint64_t base;

        ck_assert_int_eq(rig_ask(rig, IPC_VRING_STOP, &stop, sizeof(stop), NULL, 0, &base), 0);
        return (uint32_t) base;
}

void rig_until_broken(struct rig *rig, unsigned index)
{
        struct packet packet;

        while (!(rig->broken & 1u << index))
                ck_assert_msg(next_packet(rig, &packet), "the worker has ended");
        rig->broken &= ~(1u << index);
}

unsigned rig_taken(const struct rig *rig, unsigned index)
{
        const char *part = rig->guest_area + index * vu_inflight_bytes(RIG_RING, false);
        const struct vu_inflight_split_desc *desc = (const void *) (part + sizeof(struct vu_inflight_split));
        unsigned n = 0;

        for (unsigned i = 0; i < RIG_RING; i++)
                n += __atomic_load_n(&desc[i].inflight, __ATOMIC_RELAXED);
        return n;
}

void *rig_at(struct rig *rig, uint64_t gpa)
{
        return rig->guest + (gpa - RIG_GPA);
}

void rig_write_chain(struct rig_ring *ring, uint16_t first, const struct rig_part *parts, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                ring->desc[first + i] = (struct vring_desc){
                        .addr = htole64(parts[i].gpa),
                        .len = htole32(parts[i].len),
                        .flags = htole16((i + 1 < n ? VRING_DESC_F_NEXT : 0) |
                                         (parts[i].write ? VRING_DESC_F_WRITE : 0)),
                        .next = htole16((uint16_t) (first + i + 1)),
                };
}

void rig_write_indirect(struct rig *rig, struct rig_ring *ring, uint16_t head, uint64_t at,
                        const struct rig_part *parts, unsigned n)
{
        struct rig_ring table = { .desc = rig_at(rig, at) };

        rig_write_chain(&table, 0, parts, n);
        ring->desc[head] = (struct vring_desc){ .addr = htole64(at),
                                                .len = htole32((uint32_t) (n * sizeof(struct vring_desc))),
                                                .flags = htole16(VRING_DESC_F_INDIRECT) };
}

int rig_disk(off_t size, int flags)
{
        const char *dir = getenv("TMPDIR");
        int fd = open(dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, size), 0);
        return fd;
}

void rig_offer(struct rig_ring *ring, uint16_t head)
{
        ring->avail->ring[ring->next_avail++ % RIG_RING] = htole16(head);
        __atomic_store_n(&ring->avail->idx, htole16(ring->next_avail), __ATOMIC_SEQ_CST);
}

void rig_kick(struct rig_ring *ring)
{
        uint64_t one = 1;

        ck_assert_int_eq(write(ring->kick, &one, sizeof(one)), sizeof(one));
}

/* Asks for a call at the next entry, and sleeps unless it is there already. */
static void wait_next_used(struct rig_ring *ring, uint16_t seen)
{
        uint64_t count;

        for (;;) {
                ring->avail->ring[RIG_RING] = htole16(seen);
                __atomic_thread_fence(__ATOMIC_SEQ_CST);
                if (le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE)) != seen)
                        return;
                wait_for(ring->call);
                ck_assert_int_eq(read(ring->call, &count, sizeof(count)), sizeof(count));
        }
}

void rig_wait_used(struct rig_ring *ring, unsigned n)
{
        uint16_t target = (uint16_t) (ring->last_used + n);
        uint16_t seen = le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE));

        while ((uint16_t) (target - seen) != 0 && (uint16_t) (target - seen) <= n) {
                wait_next_used(ring, seen);
                seen = le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE));
        }
        ck_assert_uint_eq(seen, target);
        ring->last_used = target;
}

void rig_wait_call(const struct rig_ring *ring)
{
        wait_for(ring->call);
}

struct vring_used_elem rig_used(const struct rig_ring *ring, unsigned back)
{
        struct vring_used_elem elem = ring->used->ring[(uint16_t) (ring->last_used - 1 - back) % RIG_RING];

        return (struct vring_used_elem){ le32toh(elem.id), le32toh(elem.len) };
}

/* Where the requests of a ring put their parts. */
static uint64_t room_of(unsigned ring)
{
        return RIG_GPA + RIG_DATA + ring * (RIG_DATA * 4);
}

/* Writes a request into descriptors 0.. and offers it. */
static void blk_offer(struct rig *rig, unsigned index, const struct virtio_blk_header *header, const void *data,
                      uint32_t len, bool reads)
{
        uint64_t at = room_of(index);
        struct rig_part parts[] = { { at, sizeof(*header), false }, { at + 4096, len, reads }, { at + 64, 1, true } };

        if (len == 0)
                parts[1] = parts[2];
        else
                memcpy(rig_at(rig, at + 4096), data, len);
        memcpy(rig_at(rig, at), header, sizeof(*header));
        *(uint8_t *) rig_at(rig, at + 64) = 0xff;
        rig_write_chain(&rig->ring[index], 0, parts, len ? 3 : 2);
        rig_offer(&rig->ring[index], 0);
        rig_kick(&rig->ring[index]);
}

uint8_t rig_blk(struct rig *rig, unsigned index, uint32_t type, uint64_t sector, void *data, uint32_t len)
{
        struct virtio_blk_header header = { .type = htole32(type), .sector = htole64(sector) };
        bool reads = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;

        blk_offer(rig, index, &header, data, len, reads);
        rig_wait_used(&rig->ring[index], 1);
        if (reads)
                memcpy(data, rig_at(rig, room_of(index) + 4096), len);
        return *(uint8_t *) rig_at(rig, room_of(index) + 64);
}

void rig_blk_polled(struct rig *rig, unsigned index)
{
        struct virtio_blk_header header = { .type = htole32(VIRTIO_BLK_T_IN) };
        struct rig_ring *ring = &rig->ring[index];
        time_t end = time(NULL) + RIG_WAIT_MS / 1000;
        uint8_t bytes[512] = { 0 };

        blk_offer(rig, index, &header, bytes, sizeof(bytes), true);
        while (le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE)) == ring->last_used)
                ck_assert_int_lt(time(NULL), end);
        ring->last_used++;
        ck_assert_uint_eq(*(uint8_t *) rig_at(rig, room_of(index) + 64), VIRTIO_BLK_S_OK);
}
