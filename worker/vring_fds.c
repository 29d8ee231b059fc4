/*
 * The descriptors of a vring.
 */
#include "vring_fds.h"

#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DRAIN_ROUNDS = 16 };

/* The only flag that the policy lets us set on anything: what else a stranger's descriptor has, it loses. */
static int never_block(int fd)
{
        return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int kick_adopt(int kick, bool *ret_drains)
{
        struct stat file = { 0 };
        int r = never_block(kick);

        if (r < 0)
                return r;
        if (syscall(SYS_fstat, kick, &file) < 0)
                return -errno;
        *ret_drains = S_ISFIFO(file.st_mode) || S_ISSOCK(file.st_mode);
        return 0;
}

void kick_drain(int kick)
{
        char bytes[512];

        for (int i = 0; i < DRAIN_ROUNDS; i++)
                if (stream_read(kick, bytes, sizeof(bytes)) < (ssize_t) sizeof(bytes))
                        return;
}

int call_adopt(int call)
{
        return never_block(call);
}

void call_fire(int call)
{
        uint64_t one = 1;

        /* Full: a signal is there already. Gone: no one listens. SIGPIPE is ignored (main.c). */
        if (call >= 0 && stream_write(call, &one, sizeof(one)) < 0)
                return;
}
