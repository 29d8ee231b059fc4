/*
 * No call tells which two sockets are the ends of one connection. But an end that is shut down for reading shows at the
 * other one: it takes no more, not even nothing.
 */
#include "own_end.h"

#include <errno.h>
#include <sys/socket.h>

bool is_own_end(int front, int fd)
{
        const struct msghdr nothing = { 0 };

        if (shutdown(fd, SHUT_RD) < 0)
                return false; /* no socket, or one that is connected to nobody */
        return sendmsg(front, &nothing, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE;
}
