/*
 * A FUSE server of one file, "f", as small as can be: spoken in the kernel's own structs, in namespaces of its own.
 */
#pragma once

#include "fd.h"

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FUSE_SERVER_BYTES = 1 << 26, FUSE_SERVER_REQUEST_BYTES = 1 << 16, FUSE_SERVER_WRITE_MOST = 4096 };

struct fuse_server {
        pid_t pid;
        struct fd control; /* stream, to the server */
};

/* Forks one, which runs `run` with its end of the control socket and dies with its maker. -errno. */
int fuse_server_start(void (*run)(const char *directory, int control), const char *directory,
                      struct fuse_server *ret_server);

/* It dies, and all that waits for it fails. */
void fuse_server_end(struct fuse_server *server);

/*
 * Mounts it, in a mount namespace that the caller has from now on. own_user: in a user namespace as well, as anybody
 * can; nobody but the caller's user can then use it. -errno: this host has none (-ENOENT, -EPERM).
 */
int fuse_server_mount(const char *directory, bool own_user, struct fd *ret_fuse);

/* error: 0 or -errno. */
void fuse_server_answer(int fuse, uint64_t unique, int error, const void *body, size_t n);

/* What finds, opens and closes the file is done, all else unknown; open_flags: FOPEN_... */
void fuse_server_do(int fuse, const struct fuse_in_header *in, uint32_t open_flags);
