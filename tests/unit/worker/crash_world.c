/*
 * The driver and the device in a world that may end at any moment.
 */
#include "crash_world.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { AVAIL = VRING_PACKED_DESC_F_AVAIL, USED = VRING_PACKED_DESC_F_USED };

void world_init(struct world *world, bool packed, uint32_t size)
{
        memset(world, 0, sizeof(*world));
        world->packed = packed;
        world->size = size;
        world->n_free = size;
        world->fill = world->take = (struct packed_position){ 0, true };
}

static struct packed_position after(struct packed_position at, unsigned n, uint32_t size)
{
        unsigned slot = at.slot + n;

        return (struct packed_position){ (uint16_t) (slot % size), slot < size ? at.wrap : !at.wrap };
}

static void offer_packed(struct world *world, uint16_t serial)
{
        struct packed_position first = world->fill;
        uint16_t flags[WORLD_RING];
        unsigned n = world->length[serial];

        for (unsigned i = 0; i < n; i++) {
                struct packed_position at = after(first, i, world->size);

                flags[i] = (at.wrap ? AVAIL : USED) | (i + 1 < n ? VRING_DESC_F_NEXT : 0);
                world->slot[at.slot].addr = htole64(0x1000u * serial + i);
                world->slot[at.slot].len = htole32(serial * 16u + i);
                world->slot[at.slot].id = htole16(i + 1 < n ? 0xffff : serial);
                if (i)
                        world->slot[at.slot].flags = htole16(flags[i]);
        }
        world->slot[first.slot].flags = htole16(flags[0]);
        world->fill = after(first, n, world->size);
}

static void offer_split(struct world *world, uint16_t serial)
{
        uint16_t head = 0, idx = le16toh(world->avail[1]);

        while (world->busy[head])
                head++;
        world->busy[head] = true;
        world->owner[head] = serial;
        world->avail[2 + idx % world->size] = htole16(head);
        world->avail[1] = htole16(idx + 1);
}

bool world_offer(struct world *world, unsigned length)
{
        uint16_t serial = (uint16_t) world->offered;
        unsigned n = !world->packed ? 1 : length < world->n_free ? length : world->n_free;

        if (world->n_free == 0 || serial == WORLD_CHAINS)
                return false;
        world->length[serial] = n;
        world->n_free -= n;
        world->offered++;
        if (world->packed)
                offer_packed(world, serial);
        else
                offer_split(world, serial);
        return true;
}

static void came_back(struct world *world, unsigned serial)
{
        ck_assert_uint_lt(serial, world->offered);
        ck_assert_uint_eq(world->back[serial]++, 0);
        world->n_free += world->length[serial];
}

static bool reap_packed(struct world *world)
{
        struct vring_packed_desc desc = world->slot[world->take.slot];
        uint16_t used = world->take.wrap ? AVAIL | USED : 0;
        unsigned serial = le16toh(desc.id);

        if (world->n_free == world->size || (le16toh(desc.flags) & (AVAIL | USED)) != used)
                return false;
        came_back(world, serial);
        world->take = after(world->take, world->length[serial], world->size);
        return true;
}

static bool reap_split(struct world *world)
{
        uint32_t head;

        if (world->next_used == le16toh(world->used[1]))
                return false;
        memcpy(&head, &world->used[2 + world->next_used++ % world->size * 4], sizeof(head));
        head = le32toh(head);
        ck_assert_uint_lt(head, world->size);
        ck_assert(world->busy[head]);
        world->busy[head] = false;
        came_back(world, world->owner[head]);
        return true;
}

void world_reap(struct world *world)
{
        while (world->packed ? reap_packed(world) : reap_split(world))
                ;
}

struct device_side *device_new(struct world *world)
{
        struct device_side *device = calloc(1, sizeof(*device));
        struct vring *vr = &device->vr;

        ck_assert(device != NULL);
        device->worker.area = (struct inflight_area){ .base = world->area, .len = sizeof(world->area), .queues = 1,
                                                      .queue_size = world->size };
        device->loop.scratch = &device->scratch;
        *vr = (struct vring){ .format = world->packed ? &vring_packed : &vring_split, .worker = &device->worker,
                              .loop = &device->loop, .size = world->size, .desc = world->desc,
                              .avail = (void *) world->avail, .used = (void *) world->used, .done = device->done,
                              .again = device->again, .order = device->order, .slots = device->slots };
        vr->packed.desc = world->slot;
        vr->packed.driver = &world->driver;
        vr->packed.device = &world->device;
        return device;
}

int device_start(struct device_side *device, bool resume)
{
        const struct ipc_vring_start what = { .resume = resume,
                                              .base = device->vr.format == &vring_packed ? VRING_PACKED_BASE_FRESH : 0 };
        int r = device->vr.format->position(&device->vr, &what);

        for (unsigned i = 0; r == 0 && i < device->vr.n_again; i++) {
                device->held[device->n_held++] = device->again[i];
                if (device->vr.format->recall)
                        device->vr.format->recall(&device->vr, device->again[i]);
        }
        return r;
}

unsigned device_serial(const struct device_side *device, const struct world *world, uint16_t head)
{
        return world->packed ? device->vr.packed.track.slot[head].id : world->owner[head];
}

unsigned device_take(struct device_side *device, unsigned n)
{
        struct chain_fault fault = { "", 0 };
        unsigned taken = 0;
        uint16_t head;

        while (taken < n && device->vr.format->next(&device->vr, &head, &fault) == 0) {
                device->vr.format->take(&device->vr, head);
                device->held[device->n_held++] = head;
                taken++;
        }
        return taken;
}

void device_complete(struct device_side *device, unsigned n, unsigned pick)
{
        struct vring *vr = &device->vr;

        vr->n_done = 0;
        for (; n && device->n_held; n--) {
                unsigned i = pick++ % device->n_held;

                vr->format->put(vr, device->held[i], 7);
                vr->done[vr->n_done++] = device->held[i];
                device->held[i] = device->held[--device->n_held];
        }
        vr->format->publish(vr);
        vr->n_done = 0;
}
