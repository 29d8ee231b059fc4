/*
 * Deadlines: every wait of the tests is for an event and ends at a point of CLOCK_MONOTONIC.
 */
#pragma once

/* Nanoseconds of CLOCK_MONOTONIC. */
long long fe_now_ns(void);

/* The point of time `ms` milliseconds from now. */
long long fe_deadline(int ms);

/* Milliseconds left until the deadline, rounded up; 0: it has passed. */
int fe_left_ms(long long deadline);

/* Waits until fd shows one of the poll(2) events (or an error or a hang-up). -ETIMEDOUT. */
int fe_poll(int fd, short events, long long deadline);
