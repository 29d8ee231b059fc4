/*
 * The input is an in-flight area that a front-end has written, and the ring that goes with it; the worker resumes from
 * them. It may refuse. If it does not, all that was in flight comes to an end, and the area it leaves is one from which
 * a successor resumes, with nothing in flight. Or the worker has to tell a base from the area alone.
 *
 * Layout of the input: one byte of options, the area, then guest memory from address 0 as in fuzz_ring.c.
 */
#include "fuzz_worker.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Options. BEGUN: the area is changes to one without faults. UNSEEN: the ring cannot be reached. */
enum { PACKED = 1, INDIRECT = 2, ODD = 4, BEGUN = 8, UNSEEN = 16 };
enum { RING = 16, AVAIL = RING * 16, USED = AVAIL + 64, ROOM = 2048, AREA = 32 + 32 * RING + 32 };

static int start(struct fuzz_worker *fuzz, uint8_t options, bool resume)
{
        const struct ipc_vring_start what = {
                .size = options & PACKED && options & ODD ? RING - 3 : RING, .desc = FUZZ_UVA,
                .avail = FUZZ_UVA + AVAIL, .used = FUZZ_UVA + USED, .enabled = 1, .resume = resume,
                .base = options & PACKED ? VRING_PACKED_BASE_FRESH : 0,
        };
        uint64_t not_acked = VIRTIO_BIT(VIRTIO_F_IN_ORDER) |
                             (options & INDIRECT ? 0 : VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)) |
                             (options & PACKED ? 0 : VIRTIO_BIT(VIRTIO_F_RING_PACKED));

        fuzz->worker.acked = fuzz->worker.face.features & ~not_acked;
        return vring_start(&fuzz->worker.vring[0], &what, FD_NONE, FD_NONE, FD_NONE);
}

/* True: it came to its end without breaking. */
static bool finish(struct fuzz_worker *fuzz)
{
        struct vring *vr = &fuzz->worker.vring[0];
        bool broken, left;

        fuzz_worker_round(fuzz);
        vring_drain(vr);
        fuzz_worker_round(fuzz);
        if (!vring_idle(vr))
                abort();
        broken = vr->state == BROKEN;
        vring_stop(vr, &left);
        if (left)
                abort();
        fuzz_worker_hear(fuzz);
        return !broken;
}

static struct fuzz_worker *fuzz_new(void)
{
        struct fuzz_worker *fuzz = fuzz_worker_new();

        fuzz_worker_map(fuzz);
        fuzz->worker.area = (struct inflight_area){ .base = calloc(1, AREA), .len = AREA, .queues = 1,
                                                    .queue_size = RING };
        if (!fuzz->worker.area.base)
                abort();
        return fuzz;
}

static void change_area(struct fuzz_worker *fuzz, const uint8_t *bytes)
{
        char *area = fuzz->worker.area.base;

        for (unsigned i = 0; i < AREA; i++)
                area[i] = (char) (area[i] ^ bytes[i]);
}

/* As a worker that resumes behind an IOMMU, and is told to stop before it has its addresses. */
static void stop_unseen(struct fuzz_worker *fuzz, uint8_t options, const uint8_t *bytes)
{
        struct vring *vr = &fuzz->worker.vring[0];
        bool left;

        memset((char *) fuzz->worker.area.base, 0, AREA);
        if (start(fuzz, options, false) < 0)
                abort();
        change_area(fuzz, bytes);
        vr->positioned = false;
        vr->start.resume = 1;
        vring_stop(vr, &left);
        fuzz_worker_hear(fuzz);
}

static void fill_area(struct fuzz_worker *fuzz, uint8_t options, const uint8_t *bytes)
{
        char *area = fuzz->worker.area.base;

        memset(area, 0, AREA);
        if (options & BEGUN) {
                if (start(fuzz, options, false) < 0)
                        abort();
                finish(fuzz);
        }
        change_area(fuzz, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct fuzz_worker *fuzz;

        if (!fuzz)
                fuzz = fuzz_new();
        if (size < 1 + AREA)
                return 0;
        memset(fuzz->memory, 0, ROOM);
        if (data[0] & UNSEEN) {
                stop_unseen(fuzz, data[0], data + 1);
                return 0;
        }
        fill_area(fuzz, data[0], data + 1);
        memcpy(fuzz->memory, data + 1 + AREA, size - 1 - AREA < ROOM ? size - 1 - AREA : ROOM);
        if (start(fuzz, data[0], true) < 0 || !finish(fuzz))
                return 0;
        if (start(fuzz, data[0], true) < 0 || fuzz->worker.vring[0].n_again)
                abort();
        finish(fuzz);
        return 0;
}
