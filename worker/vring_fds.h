/*
 * The descriptors of a vring: kick from the guest, call and err to it. Each may be an eventfd, a pipe or a socket,
 * and the front-end holds the same open file: nothing here ever blocks on it.
 */
#pragma once

#include "fd.h"

#include <stdbool.h>

/* Makes it non-blocking and tells whether it must be read empty (no eventfd). -errno. */
int kick_adopt(int kick, bool *ret_drains);

/* Reads a pipe or socket empty, within limits. */
void kick_drain(int kick);

/* Makes it non-blocking. -errno. */
int call_adopt(int call);

/* Signals once, or not at all if it is full or its reader is gone; -1 is no call. */
void call_fire(int call);
