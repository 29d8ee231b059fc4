/*
 * A TCP socket whose close waits.
 */
#pragma once

#include "fd.h"

enum { LINGER_S = 10 };

/* Connected, with a full queue: its last close waits LINGER_S for its peer, the caller's as well, who reads nothing. */
struct fd lingering_socket(struct fd *ret_peer);
