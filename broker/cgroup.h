/*
 * The cgroups of the devices (v2), made at start below a directory that is the broker's own.
 */
#pragma once

#include "fd.h"
#include "log.h"

#include <sys/types.h>

/*
 * Takes the directory over: ends all processes that an earlier broker left in its devices' cgroups, removes these and
 * hands the pids controller down. Failures are logged, -errno; that something doesn't end is only logged.
 */
int cgroup_take_over(const char *dir, const struct log *log);

/*
 * Makes the cgroup of a device, limited to `tasks` processes and threads. ret_procs, the caller's, moves a process
 * there by its pid (cgroup_move), also for who could not open it. Failures are logged, -errno.
 */
int cgroup_make(const char *dir, const char *device, unsigned tasks, const struct log *log, struct fd *ret_procs);

/* Moves a process into the cgroup. -errno. */
int cgroup_move(int procs, pid_t pid);
