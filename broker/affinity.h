/*
 * CPUAffinity= against the processors that there are.
 */
#pragma once

#include "config.h"
#include "log.h"

/*
 * May the device's worker run where its CPUAffinity= says? If not it is logged, then -errno: it would fail at its first
 * connection only. Leaves the caller's own affinity as it was.
 */
int affinity_check(const struct device_config *config, const struct log *log);
