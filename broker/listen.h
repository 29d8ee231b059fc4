/*
 * The sockets that front-ends connect to: passed by systemd, by --fd, or made by us; and front-ends' own.
 */
#pragma once

#include "fd.h"
#include "log.h"

#include <stdbool.h>

struct listener {
        struct fd socket;
        bool connected; /* not a listener at all: the one connection there will be */
        char *unlink;   /* owned: path to remove at the end; NULL: not ours */
};

struct listen_passed {
        char **names;
        struct fd *fds;
        int n;
};

/* How many sockets systemd has passed to this process; -errno. */
int listen_passed_count(void);

/* Takes over what systemd passed. -errno, logged. */
int listen_take_passed(const struct log *log, struct listen_passed *ret_passed);
void listen_passed_done(struct listen_passed *passed);

/* The passed socket of that name, or, with `any`, the only one. -ENOENT: none. */
int listen_find_passed(struct listen_passed *passed, const char *name, bool any, struct listener *ret_listener);

/* Uses the caller's descriptor `num`: a listening or connected stream socket. Failures are logged. */
int listen_on_fd(int num, const struct log *log, struct listener *ret_listener);

/*
 * Makes a listening socket at path. A socket file that nobody listens on is replaced; -EADDRINUSE: somebody does, or
 * something else is there. Failures are logged with `where` the operator named it (NULL: nowhere, it is the default).
 */
int listen_on_path(const char *path, const char *where, const struct log *log, struct listener *ret_listener);

/* The passed socket named "control" that takes packets (SOCK_SEQPACKET); it leaves the list. -ENOENT: none. */
int listen_take_control(struct listen_passed *passed, struct listener *ret_listener);

/* listen_on_path() for packets instead of a stream. */
int listen_on_seqpacket(const char *path, const struct log *log, struct listener *ret_listener);

/*
 * Connects to a front-end that listens at path, without waiting. -ECONNREFUSED, -ENOENT, -EAGAIN: none does, or not
 * now; -EACCES: we may not. The connection does not block.
 */
int listen_connect_out(const char *path, struct fd *ret_connection);

/* Closes it and removes its file if it is ours and we still may. */
void listener_done(struct listener *listener);

/*
 * The same at the end of the process, which closes it: what lies in the queues of those who wait to be accepted may
 * take as long to close as they like, except where the kernel closes for a process that exits.
 */
void listener_leave(struct listener *listener);
