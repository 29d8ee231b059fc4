/*
 * The broker's own system call filter.
 */
#pragma once

#include "log.h"

/*
 * Must leave the broker, and all that it forks from now on, only the calls of policy/broker.c and of the programs it
 * runs. Needs no_new_privs. Failures are logged; -errno.
 */
int own_filter_load(const struct log *log);
