/*
 * Sockets that have another one in their queue.
 */
#pragma once

#include "fd.h"

enum { NESTINGS = 8 };

/* One of that many kinds; keeps a copy of the borrowed fd in the queue, where nobody holds the sender's end any more. */
struct fd nesting_of(unsigned i, int fd);
