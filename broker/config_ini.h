/*
 * One INI file into one device's config.
 */
#pragma once

#include "config.h"

/* Reads the file as a layer of its own, whose keys override those set before. All errors are logged: -EINVAL, -errno.
 */
int config_ini_read(const char *path, struct device_config *config, const struct log *log);
