/*
 * A TCP socket whose close waits.
 */
#include "lingering.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <sys/socket.h>

struct fd lingering_socket(int seconds, struct fd *ret_peer)
{
        struct linger linger = { .l_onoff = 1, .l_linger = seconds };
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct fd s = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        AUTO_FD l = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        socklen_t size = sizeof(at);
        static const char bytes[65536];

        ck_assert(bind(l.num, (struct sockaddr *) &at, sizeof(at)) == 0 && listen(l.num, 1) == 0);
        ck_assert(getsockname(l.num, (struct sockaddr *) &at, &size) == 0);
        ck_assert(connect(s.num, (struct sockaddr *) &at, size) == 0);
        ret_peer->num = accept4(l.num, NULL, NULL, SOCK_CLOEXEC);
        ck_assert(ret_peer->num >= 0);
        ck_assert(setsockopt(s.num, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
        while (send(s.num, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
        return s;
}
