/*
 * Deadlines.
 */
#include "fe_time.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

long long fe_now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec;
}

long long fe_deadline(int ms)
{
        return fe_now_ns() + ms * 1000000LL;
}

int fe_left_ms(long long deadline)
{
        long long left = deadline - fe_now_ns();

        return left > 0 ? (int) ((left + 999999) / 1000000) : 0;
}

int fe_poll(int fd, short events, long long deadline)
{
        struct pollfd p = { .fd = fd, .events = events };
        int n;

        do
                n = poll(&p, 1, fe_left_ms(deadline));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        return n ? 0 : -ETIMEDOUT;
}
