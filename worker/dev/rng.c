/*
 * The entropy device: fills what the guest may have written, from the kernel's generator. No state, no config.
 */
#include "rng.h"

#include "policy.h"
#include "stats_page.h"

#include <sys/random.h>

enum { AT_ONCE = 256, PER_REQUEST = 64 << 10 }; /* bytes: getrandom() never stops short at 256 */

static int rng_open(const struct device_setup *setup, struct device_face *ret_face, void **ret_device)
{
        ret_face->features = policy_rng.features & setup->device->features;
        ret_face->queues = 1;
        *ret_device = NULL;
        return 0;
}

static int rng_loop_open(void *device, unsigned loop, void **ret_local, int *ret_wait_fd)
{
        (void) loop;
        *ret_local = device;
        *ret_wait_fd = -1;
        return 0;
}

static void rng_serve(void *local, struct chain *chain)
{
        uint64_t wanted = chain->in.left < PER_REQUEST ? chain->in.left : PER_REQUEST;
        uint32_t written = 0;
        uint8_t bytes[AT_ONCE];

        (void) local;
        while (written < wanted) {
                uint64_t n = wanted - written < sizeof(bytes) ? wanted - written : sizeof(bytes);

                if (getrandom(bytes, n, 0) != (ssize_t) n || chain_put(&chain->in, bytes, n) < 0)
                        break;
                written += (uint32_t) n;
        }
        chain->kind = STATS_READ;
        chain->error = STATS_DONE;
        chain->bytes = written;
        chain_done(chain, written);
}

const struct device device_rng = {
        .id = VIRTIO_ID_RNG,
        .name = "rng",
        .request_bytes = sizeof(struct chain),
        .open = rng_open,
        .loop_open = rng_loop_open,
        .serve = rng_serve,
};
