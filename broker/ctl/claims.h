/*
 * What a device's worker says of its own state.
 */
#pragma once

#include "brokers.h"
#include "showing.h"

/* Shows it, if the connection is still the one that `device` names. -errno: the broker does not answer. */
int show_claims(struct showing *to, struct brokers *brokers, const struct known_device *device);
