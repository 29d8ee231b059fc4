/*
 * Files of /proc that steer a process, and its namespaces.
 */
#pragma once

#include "fd.h"

#include <sys/types.h>

/* The directory, to be held by whoever goes where it has no name. -errno. */
int proc_open(struct fd *ret_proc);

/* Writes text, at once, to PID/NAME there. -errno. */
int proc_write(const struct fd *proc, pid_t pid, const char *name, const char *text);

/* Opens its namespace of a kind ("net"), which lives as long as the descriptor. -errno. */
int proc_open_namespace(pid_t pid, const char *kind, struct fd *ret_fd);
