/*
 * The entropy device (virtio 1.3, 5.4).
 */
#pragma once

#include "device.h"

extern const struct device device_rng;
