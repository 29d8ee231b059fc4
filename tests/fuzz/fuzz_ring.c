/*
 * The input is a guest: the bytes of its memory, in which a vring lies, and which it changes between rounds. The
 * worker walks it. What comes out does not matter; what it touches does, and that every request comes to an end.
 *
 * Layout of the input: one byte of options, then the memory from address 0: descriptors, avail, used, data.
 */
#include "fuzz_worker.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RING = 16, AVAIL = RING * 16, USED = AVAIL + 64, ROOM = 4096, CHANGES = 4 };

static void start(struct fuzz_worker *fuzz, uint8_t options)
{
        const struct ipc_vring_start what = {
                .size = RING, .desc = FUZZ_UVA, .avail = FUZZ_UVA + AVAIL, .used = FUZZ_UVA + USED, .enabled = 1,
                .base = options >> 4,
        };

        fuzz->worker.acked = options & 1 ? fuzz->worker.face.features
                                         : fuzz->worker.face.features & ~VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
        if (options & 2)
                fuzz->worker.acked &= ~VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
        if (vring_start(&fuzz->worker.vring[0], &what, FD_NONE, FD_NONE, FD_NONE) < 0)
                abort();
}

/* Nothing may stay in flight: the null engine answers at once. */
static void stop(struct fuzz_worker *fuzz)
{
        struct vring *vr = &fuzz->worker.vring[0];

        vring_drain(vr);
        fuzz_worker_round(fuzz);
        if (!vring_idle(vr))
                abort();
        vring_stop(vr);
        fuzz_worker_hear(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct fuzz_worker *fuzz;

        if (!fuzz) {
                const struct ipc_region all = { .uva = FUZZ_UVA, .size = FUZZ_MEMORY };

                fuzz = fuzz_worker_new();
                if (guest_mem_add(&fuzz->worker.mem, 0, &all, fuzz->file) < 0)
                        abort();
        }
        if (size < 2)
                return 0;
        memset(fuzz->memory, 0, ROOM);
        memcpy(fuzz->memory, data + 1, size - 1 < ROOM ? size - 1 : ROOM);
        start(fuzz, data[0]);
        for (unsigned i = 0; i < CHANGES; i++) {
                fuzz_worker_round(fuzz);
                if (size > ROOM + 1 + i) /* the guest goes on */
                        fuzz->memory[AVAIL + 2] += (char) (data[ROOM + 1 + i] & 3);
                vring_kicked(&fuzz->worker.vring[0]);
        }
        stop(fuzz);
        return 0;
}
