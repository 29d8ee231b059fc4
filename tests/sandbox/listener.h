/*
 * The other end of with_notes: who is told of a program's system calls.
 */
#pragma once

/* The caller's socket where programs under with_notes, started from now on, report ($NOTES). -errno. */
int listener_open(void);

/* One has begun: its filter's descriptor, the caller's. -1: none came. */
int listener_welcome(int socket);
