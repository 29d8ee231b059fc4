/*
 * A disk whose writes take as long as one likes: the file of a FUSE server, in a mount namespace of that server's own.
 */
#pragma once

#include "fuse_server.h"

enum { FUSE_DISK_PATH_MAX = 100 };

struct fuse_disk {
        struct fuse_server server;
        char path[FUSE_DISK_PATH_MAX]; /* of the file, for whoever may look into the server: its own user, and root */
};

/* FUSE_SERVER_BYTES of zeroes. -errno: this host has none (-ENOENT, -EPERM). */
int fuse_disk_open(const char *directory, struct fuse_disk *ret_disk);

/* The next write is held from now on: neither in the file nor answered. -errno. */
int fuse_disk_hold(struct fuse_disk *disk);

/* Waits until there is such a write. -ETIMEDOUT. */
int fuse_disk_await_held(struct fuse_disk *disk, int timeout_ms);

/* It is done now. -errno. */
int fuse_disk_release(struct fuse_disk *disk);

/* The server dies, and all that waits for it fails. */
void fuse_disk_done(struct fuse_disk *disk);
