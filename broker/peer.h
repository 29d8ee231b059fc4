/*
 * Who is at the other end of a connection, as the kernel knows it.
 */
#pragma once

#include "config.h"

#include <sys/types.h>

struct peer {
        uid_t uid;
        gid_t gid;
};

/* Reads the credentials of the peer at the time it connected (unix(7), SO_PEERCRED). -errno. */
int peer_of(int connection, struct peer *ret_peer);

/* Does AllowUser= or AllowGroup= name it, or neither say anything? Groups include supplementary ones. -EACCES. */
int peer_allowed(const struct peer *peer, int connection, const struct device_config *config);

/* Was the group among its own or its supplementary ones? */
bool peer_has_group(const struct peer *peer, int connection, gid_t group);
