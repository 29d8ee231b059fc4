/*
 * The devices that a worker can be.
 */
#include "device.h"

#include "array.h"
#include "dev/blk.h"
#include "dev/rng.h"

static const struct device *const devices[] = { &device_blk, &device_rng };

const struct device *device_of(uint32_t id)
{
        for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
                if (devices[i]->id == id)
                        return devices[i];
        return NULL;
}
