/*
 * A TCP socket whose close waits.
 */
#pragma once

#include "fd.h"

enum { LINGER_S = 10 };

/* Connected, with a full queue: its last close waits so long for its peer, the caller's as well, who reads nothing. */
struct fd lingering_socket(int seconds, struct fd *ret_peer);
