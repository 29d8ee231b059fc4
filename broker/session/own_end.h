/*
 * Descriptors that would keep the session alive for ever.
 */
#pragma once

#include <stdbool.h>

/*
 * Is the descriptor the front-end's end of the stream `front`? Who held both ends would never hear the front-end leave.
 * Afterwards nothing can be read from a socket `fd`; if it is that end, nothing can be written to `front` either.
 */
bool is_own_end(int front, int fd);
