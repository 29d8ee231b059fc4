/*
 * Who is at the other end of a connection. Its pid is not asked: a VMM may hand its connection to a new process.
 */
#include "peer.h"

#include "array.h"

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

static bool group_allowed(gid_t gid, const struct device_config *config)
{
        for (unsigned i = 0; i < config->n_allow_group; i++)
                if (config->allow_group[i] == gid)
                        return true;
        return false;
}

static bool supplementary_allowed(int connection, const struct device_config *config)
{
        gid_t groups[256];
        socklen_t size = sizeof(groups);

        if (getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
                return false;
        for (unsigned i = 0; i < size / sizeof(groups[0]); i++)
                if (group_allowed(groups[i], config))
                        return true;
        return false;
}

int peer_allowed(const struct peer *peer, int connection, const struct device_config *config)
{
        if (config->n_allow_user == 0 && config->n_allow_group == 0)
                return 0;
        for (unsigned i = 0; i < config->n_allow_user; i++)
                if (config->allow_user[i] == peer->uid)
                        return 0;
        if (group_allowed(peer->gid, config))
                return 0;
        return config->n_allow_group && supplementary_allowed(connection, config) ? 0 : -EACCES;
}
