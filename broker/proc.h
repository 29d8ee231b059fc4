/*
 * Files of /proc that steer a process.
 */
#pragma once

#include <sys/types.h>

/* Writes text, at once, to /proc/PID/NAME. -errno. */
int proc_write(pid_t pid, const char *name, const char *text);
