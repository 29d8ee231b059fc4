/*
 * A whole worker for the fuzzers.
 */
#include "fuzz_worker.h"

#include "virtio.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 8 };

static void no_line(void *context, enum log_level level, const char *text)
{
        (void) context;
        (void) level;
        (void) text;
}

static void open_files(struct packet *packet)
{
        int pair[2];

        if (pipe(pair) < 0)
                abort();
        packet->fd[0].num = pair[1];
        packet->fd[1].num = memfd_create("statistics", MFD_CLOEXEC);
        if (ftruncate(packet->fd[1].num, STATS_PAGE) < 0)
                abort();
        packet->n_fds = 2;
}

static struct fuzz_worker *make(const struct ipc_device *device, int disk)
{
        struct fuzz_worker *fuzz = calloc(1, sizeof(*fuzz));
        int pair[2];

        if (!fuzz || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
                abort();
        fuzz->session = pair[1];
        fuzz->file = memfd_create("guest", MFD_CLOEXEC);
        if (fuzz->file < 0 || ftruncate(fuzz->file, FUZZ_MEMORY) < 0)
                abort();
        fuzz->memory = mmap(NULL, FUZZ_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fuzz->file, 0);
        fuzz->worker.log = (struct log){ .sink = no_line, .most = LOG_LEVEL_DEBUG };
        link_init(&fuzz->worker.link, pair[0]);
        fuzz->worker.link.peer = (struct ipc_peer){ .way = IPC_SESSION_TO_WORKER, .stage = IPC_UP };
        open_files(&fuzz->packet);
        if (disk >= 0)
                fuzz->packet.fd[fuzz->packet.n_fds++].num = disk;
        if (fuzz->memory == MAP_FAILED ||
            worker_set_up(&fuzz->worker, device_of(device->device), device, &fuzz->packet) < 0)
                abort();
        fuzz->worker.acked = fuzz->worker.face.features;
        loops_unpark(&fuzz->worker);
        return fuzz;
}

struct fuzz_worker *fuzz_worker_new(void)
{
        const struct ipc_device device = {
                .device = VIRTIO_ID_BLOCK, .queues = FUZZ_QUEUES, .threads = 1, .queue_size = 1024,
                .features = ~UINT64_C(0),
                .block = { .engine = IPC_ENGINE_NULL, .block_size = 512, .physical_size = 512, .capacity = 1 << 20,
                           .discard = 1 },
        };

        return make(&device, -1);
}

void fuzz_worker_map(struct fuzz_worker *fuzz)
{
        const struct ipc_region all = { .uva = FUZZ_UVA, .size = FUZZ_MEMORY };

        if (guest_mem_add(&fuzz->worker.mem, 0, &all, fuzz->file) < 0)
                abort();
}

struct fuzz_worker *fuzz_worker_of(uint32_t id, bool bounce)
{
        const struct ipc_device device = {
                .device = id, .queues = 1, .threads = 1, .queue_size = 1024, .features = ~UINT64_C(0),
                .block = { .engine = IPC_ENGINE_SYNC, .block_size = 512, .physical_size = 512, .capacity = FUZZ_DISK,
                           .discard = 1, .direct_memory = bounce ? 512 : 0, .direct_offset = bounce ? 512 : 0 },
        };
        int disk = id == VIRTIO_ID_BLOCK ? memfd_create("disk", MFD_CLOEXEC) : -1;
        struct fuzz_worker *fuzz;

        if (disk >= 0 && ftruncate(disk, FUZZ_DISK) < 0)
                abort();
        fuzz = make(&device, disk);
        fuzz_worker_map(fuzz);
        return fuzz;
}

void fuzz_worker_hear(struct fuzz_worker *fuzz)
{
        char said[sizeof(struct packet_header) + PACKET_BODY_MAX];

        while (recv(fuzz->session, said, sizeof(said), MSG_DONTWAIT) > 0)
                ;
}

void fuzz_worker_round(struct fuzz_worker *fuzz)
{
        struct worker *w = &fuzz->worker;
        void *local = w->loop[0].local;
        bool moved = true;

        for (int i = 0; i < ROUNDS && moved; i++) {
                moved = false;
                for (unsigned q = 0; q < w->n_vrings; q++)
                        if (w->vring[q].kicked)
                                moved |= vring_serve(&w->vring[q]);
                if (w->device->flush)
                        w->device->flush(local);
                if (w->device->reap)
                        moved |= w->device->reap(local);
                for (unsigned q = 0; q < w->n_vrings; q++)
                        moved |= vring_publish(&w->vring[q]);
                fuzz_worker_hear(fuzz);
        }
}
