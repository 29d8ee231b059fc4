/*
 * A file whose last close, or any close, never returns: of a FUSE file system that its own unprivileged user serves.
 */
#pragma once

#include "fuse_server.h"

struct fuse_file {
        struct fuse_server server;
        struct fd file; /* ours; closing it blocks as well, until fuse_file_done() */
};

/* -errno: this host has none (-ENOENT, -EPERM). */
int fuse_file_open(const char *directory, struct fuse_file *ret_file);

/* From now on no close of it returns. */
void fuse_file_hang(struct fuse_file *file);

/* The server dies, and with it all that waits for it. */
void fuse_file_done(struct fuse_file *file);
