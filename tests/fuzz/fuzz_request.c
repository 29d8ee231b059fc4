/*
 * The input is a driver that keeps its ring in order and lies in its requests: chains of any shape, any header. Built
 * once for each device, with a disk in memory. Each request ends exactly once, says no more bytes than it may write, and
 * nothing changes but what the driver gave to be written: of the guest's memory, everything else is compared. In a build
 * with the memory sanitizer nothing of it may come from where the worker had written nothing.
 *
 * A record: readable parts (bits 0-2), writable ones (3-5), an ordinary header (6); two bytes a part: its kind, where;
 * then 16 bytes of header, or up to 32 of the first part.
 */
#include "fuzz_worker.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
        RING = 16,
        AVAIL = RING * 16,
        USED = AVAIL + 64,
        PARTS = 8192, /* where the parts lie, up to the end */
        REQUESTS_MOST = 16,
};

struct part {
        uint32_t at, len;
        bool writable;
};

struct request {
        struct part part[16];
        unsigned n;
        uint32_t writable;
};

struct input {
        const uint8_t *at;
        size_t left;
};

static size_t take(struct input *input, void *ret, size_t n)
{
        n = n < input->left ? n : input->left;
        memset(ret, 0, n);
        memcpy(ret, input->at, n);
        input->at += n;
        input->left -= n;
        return n;
}

static void start(struct fuzz_worker *fuzz)
{
        const struct ipc_vring_start what = { .size = RING, .desc = FUZZ_UVA, .avail = FUZZ_UVA + AVAIL,
                                              .used = FUZZ_UVA + USED, .enabled = 1 };

        fuzz->worker.acked = fuzz->worker.face.features &
                             ~(VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
        if (vring_start(&fuzz->worker.vring[0], &what, FD_NONE, FD_NONE, FD_NONE) < 0)
                abort();
}

static void add_part(struct request *request, const uint8_t how[2], bool writable)
{
        static const uint32_t lengths[] = { 1, 15, 16, 17, 32, 511, 512, 513, 1024, 4095, 4096, 8192, 20, 48, 3, 2048 };
        struct part *part = &request->part[request->n];
        uint32_t room = FUZZ_MEMORY - PARTS;

        part->len = lengths[how[0] & 15];
        part->at = PARTS + (how[1] * 256u + (how[0] >> 4) * (how[0] & 0x80 ? 64 : 1)) % (room - part->len);
        part->writable = writable;
        request->writable += writable ? part->len : 0;
        request->n++;
}

/* A request that a driver could mean: a common type, a sector of the disk. */
static void ordinary(uint8_t header[16])
{
        static const uint8_t types[] = { 0, 1, 4, 8, 11, 13, 14, 2 };

        header[0] = types[header[0] & 7];
        memset(header + 1, 0, 7);
        header[8] &= 0x7f;
        memset(header + 10, 0, 6);
}

static void put(struct fuzz_worker *fuzz, const struct request *request)
{
        struct vring_avail *avail = (void *) (fuzz->memory + AVAIL);
        uint16_t at = avail->idx % RING;

        for (unsigned i = 0; i < request->n; i++) {
                struct vring_desc *desc = (struct vring_desc *) fuzz->memory + i;
                const struct part *part = &request->part[i];

                *desc = (struct vring_desc){ .addr = FUZZ_GPA + part->at, .len = part->len,
                                             .flags = (part->writable ? VRING_DESC_F_WRITE : 0) |
                                                      (i + 1 < request->n ? VRING_DESC_F_NEXT : 0),
                                             .next = i + 1 };
        }
        avail->ring[at] = 0;
        avail->idx++;
}

/* Runs it to its end; a pool's completions come when they come. */
static void serve(struct fuzz_worker *fuzz)
{
        struct vring *vr = &fuzz->worker.vring[0];

        vring_kicked(vr);
        fuzz_worker_round(fuzz);
        while (vr->busy) {
                sched_yield();
                fuzz_worker_round(fuzz);
        }
}

static void check(const struct fuzz_worker *fuzz, const struct request *request, char *before, uint16_t used_before)
{
        const struct vring_used *used = (const void *) (fuzz->memory + USED);

#if __has_feature(memory_sanitizer) /* the worker's mapping: of ours it does not know */
        __msan_check_mem_is_initialized((void *) fuzz->worker.mem.region[0].mapped, FUZZ_MEMORY);
#endif
        if ((uint16_t) (used->idx - used_before) != 1 || used->ring[used_before % RING].id != 0 ||
            used->ring[used_before % RING].len > request->writable)
                abort();
        for (unsigned i = 0; i < request->n; i++)
                if (request->part[i].writable)
                        memcpy(before + request->part[i].at, fuzz->memory + request->part[i].at, request->part[i].len);
        if (memcmp(before + PARTS, fuzz->memory + PARTS, FUZZ_MEMORY - PARTS) != 0)
                abort();
}

static void record(struct fuzz_worker *fuzz, struct input *input)
{
        static char before[FUZZ_MEMORY];
        const struct vring_used *used = (const void *) (fuzz->memory + USED);
        struct request request = { .n = 0 };
        uint8_t shape = 0, how[2] = { 0 }, header[32] = { 0 };
        uint16_t used_before = used->idx;
        unsigned out, in;

        take(input, &shape, 1);
        out = shape & 7;
        in = shape >> 3 & 7;
        if (out + in == 0)
                in = 1;
        for (unsigned i = 0; i < out + in; i++) {
                take(input, how, sizeof(how));
                add_part(&request, how, i >= out);
        }
        take(input, header, shape & 0x40 ? 16 : 32);
        if (shape & 0x40) {
                ordinary(header);
                request.part[0].len = out > 1 ? 16 : request.part[0].len;
        }
        if (out)
                memcpy(fuzz->memory + request.part[0].at, header,
                       request.part[0].len < sizeof(header) ? request.part[0].len : sizeof(header));
        put(fuzz, &request);
        memcpy(before, fuzz->memory, sizeof(before));
        serve(fuzz);
        check(fuzz, &request, before, used_before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct fuzz_worker *made[2];
        struct input input = { data, size };
        uint8_t which = 0;
        struct fuzz_worker *fuzz;
        bool left;

        take(&input, &which, 1);
        which &= 1; /* of the block device: with bounce buffers or without */
        if (!made[which])
                made[which] = fuzz_worker_of(FUZZ_DEVICE, which);
        fuzz = made[which];
        memset(fuzz->memory, 0, PARTS);
        start(fuzz);
        for (unsigned i = 0; i < REQUESTS_MOST && input.left; i++)
                record(fuzz, &input);
        vring_drain(&fuzz->worker.vring[0]);
        vring_stop(&fuzz->worker.vring[0], &left);
        fuzz_worker_hear(fuzz);
        return 0;
}
