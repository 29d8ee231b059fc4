/*
 * A broker with any number of block devices, started for a measurement.
 */
#pragma once

#include "fe_device.h"
#include "prog.h"

enum { STAND_DEVICES = 64 };

struct stand {
        struct prog prog;
        char dir[32];
        unsigned n;
        struct fe_device device[STAND_DEVICES]; /* in use where conn.fd is there */
};

/* Starts the broker with n devices over sparse images in a directory of its own. -errno; says why on stderr. */
int stand_start(struct stand *stand, const char *broker, const char *engine, unsigned n);

/* Path of the socket of device i. */
void stand_socket(const struct stand *stand, unsigned i, char to[64]);

/* Starts device i with four queues, reads once on each and leaves it idle. */
int stand_use(struct stand *stand, unsigned i);

/* Leaves device i. */
void stand_leave(struct stand *stand, unsigned i);

/* Waits until exactly n workers and n sessions are there. -ETIMEDOUT. */
int stand_await(const struct stand *stand, unsigned n);

/* Ends all and removes the directory. */
void stand_stop(struct stand *stand);

/* Sorts and returns the middle one. */
double stand_median(double *values, unsigned n);
