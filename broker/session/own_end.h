/*
 * Descriptors that would keep the session alive for ever: the front-end's end of its own connection, as it is or in the
 * queue of another socket. Who held both ends would never hear the front-end leave.
 */
#pragma once

/*
 * May a descriptor be kept beside the stream `front`, to be written to? A socket is emptied, and nothing gets into it
 * afterwards. -ELOOP: it is the front-end's end, and `front` is dead now; -errno: who knows what is in it.
 */
int own_end_check(int front, int fd);

/* The same for one that is to be read from: nothing can be written to a socket afterwards. -ELOOP. */
int own_end_check_source(int front, int fd);
