/*
 * Who is at the other end of a connection. Its pid is not asked: a VMM may hand its connection to a new process.
 */
#include "peer.h"

#include <errno.h>
#include <sys/socket.h>

int peer_of(int connection, struct peer *ret_peer)
{
        struct ucred credentials;
        socklen_t size = sizeof(credentials);

        *ret_peer = (struct peer){ .uid = (uid_t) -1, .gid = (gid_t) -1 };
        if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return -errno;
        *ret_peer = (struct peer){ .uid = credentials.uid, .gid = credentials.gid };
        return 0;
}

static bool is_one_of(gid_t gid, const gid_t *groups, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                if (groups[i] == gid)
                        return true;
        return false;
}

static bool has_one_of(const struct peer *peer, int connection, const gid_t *groups, unsigned n)
{
        gid_t own[256];
        socklen_t size = sizeof(own);

        if (n == 0 || is_one_of(peer->gid, groups, n))
                return n != 0;
        if (getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, own, &size) < 0)
                return false;
        for (unsigned i = 0; i < size / sizeof(own[0]); i++)
                if (is_one_of(own[i], groups, n))
                        return true;
        return false;
}

bool peer_has_group(const struct peer *peer, int connection, gid_t group)
{
        return has_one_of(peer, connection, &group, 1);
}

int peer_allowed(const struct peer *peer, int connection, const struct device_config *config)
{
        if (config->n_allow_user == 0 && config->n_allow_group == 0)
                return 0;
        for (unsigned i = 0; i < config->n_allow_user; i++)
                if (config->allow_user[i] == peer->uid)
                        return 0;
        return has_one_of(peer, connection, config->allow_group, config->n_allow_group) ? 0 : -EACCES;
}
