/*
 * What whoever started the broker left open in it.
 */
#include "inherited.h"

#include "listen.h"

#include <errno.h>
#include <limits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static int close_from(unsigned first, unsigned last)
{
        return first <= last && close_range(first, last, 0) < 0 ? -errno : 0;
}

int inherited_close(int fd)
{
        int passed = listen_passed_count();
        unsigned first = SD_LISTEN_FDS_START + (unsigned) (passed > 0 ? passed : 0);
        int r = 0;

        if (fd >= 0 && (unsigned) fd >= first) {
                r = close_from(first, (unsigned) fd - 1);
                first = (unsigned) fd + 1;
        }
        return r < 0 ? r : close_from(first, UINT_MAX);
}
