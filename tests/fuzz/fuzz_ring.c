/*
 * The input is a guest: the bytes of its memory, in which a vring lies, and which it changes between rounds. The
 * worker walks it; built once for each format of rings. What comes out does not matter; what it touches does, and that every request comes to an end.
 *
 * Layout of the input: one byte of options (PACKED is ignored), then the memory from address 0: descriptors, avail, used (of packed rings:
 * the driver's and the device's event areas), data.
 */
#include "fuzz_worker.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NO_EVENT_IDX = 2, PACKED = 4, IN_ORDER = 8 }; /* bits of the options; 1: indirect; above: the base */
enum { RING = 16, AVAIL = RING * 16, USED = AVAIL + 64, ROOM = 4096, CHANGES = 4 };

static void start(struct fuzz_worker *fuzz, uint8_t options)
{
        const uint32_t base = options >> 4;
        const struct ipc_vring_start what = {
                .size = RING, .desc = FUZZ_UVA, .avail = FUZZ_UVA + AVAIL, .used = FUZZ_UVA + USED, .enabled = 1,
                .base = options & PACKED ? VRING_PACKED_BASE_FRESH | base << 16 | base : base,
        };
        uint64_t not_acked = (options & 1 ? 0 : VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)) |
                             (options & NO_EVENT_IDX ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0) |
                             (options & PACKED ? 0 : VIRTIO_BIT(VIRTIO_F_RING_PACKED)) |
                             (options & IN_ORDER ? 0 : VIRTIO_BIT(VIRTIO_F_IN_ORDER));

        fuzz->worker.acked = fuzz->worker.face.features & ~not_acked;
        if (vring_start(&fuzz->worker.vring[0], &what, FD_NONE, FD_NONE, FD_NONE) < 0)
                abort();
}

/* Nothing may stay in flight: the null engine answers at once. */
static void stop(struct fuzz_worker *fuzz)
{
        struct vring *vr = &fuzz->worker.vring[0];
        bool left;

        vring_drain(vr);
        fuzz_worker_round(fuzz);
        if (!vring_idle(vr))
                abort();
        vring_stop(vr, &left);
        if (left)
                abort();
        fuzz_worker_hear(fuzz);
}

/* The guest goes on: more is available, or a packed slot changes its turn. */
static void guest_goes_on(struct fuzz_worker *fuzz, uint8_t options, uint8_t how)
{
        char *slot = fuzz->memory + how % RING * 16;

        if (!(options & PACKED)) {
                fuzz->memory[AVAIL + 2] += (char) (how & 3);
        } else {
                slot[14] ^= (char) (how & 0x80);
                slot[15] ^= (char) (how << 1 & 0x80);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct fuzz_worker *fuzz;

        uint8_t options = 0;

        if (!fuzz) {
                fuzz = fuzz_worker_new();
                fuzz_worker_map(fuzz);
        }
        if (size < 2)
                return 0;
        options = (uint8_t) ((data[0] & ~PACKED) | (FUZZ_PACKED ? PACKED : 0));
        memset(fuzz->memory, 0, ROOM);
        memcpy(fuzz->memory, data + 1, size - 1 < ROOM ? size - 1 : ROOM);
        start(fuzz, options);
        for (unsigned i = 0; i < CHANGES; i++) {
                fuzz_worker_round(fuzz);
                if (size > ROOM + 1 + i)
                        guest_goes_on(fuzz, options, data[ROOM + 1 + i]);
                vring_kicked(&fuzz->worker.vring[0]);
        }
        stop(fuzz);
        return 0;
}
