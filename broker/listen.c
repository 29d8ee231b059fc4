/*
 * The sockets that front-ends connect to, and connections to theirs.
 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum { BACKLOG = 16 };

int listen_passed_count(void)
{
        return sd_listen_fds(0);
}

int listen_take_passed(const struct log *log, struct listen_passed *ret_passed)
{
        struct listen_passed passed = { 0 };

        passed.n = sd_listen_fds_with_names(1, &passed.names);
        if (passed.n < 0) {
                log_error(log, "sockets passed by systemd: %s", log_errno(passed.n));
                return passed.n;
        }
        passed.fds = calloc((size_t) passed.n + 1, sizeof(*passed.fds));
        if (!passed.fds)
                return -ENOMEM;
        for (int i = 0; i < passed.n; i++)
                passed.fds[i].num = SD_LISTEN_FDS_START + i;
        *ret_passed = passed;
        return 0;
}

void listen_passed_done(struct listen_passed *passed)
{
        for (int i = 0; i < passed->n; i++) {
                fd_close(&passed->fds[i]);
                free(passed->names[i]);
        }
        free(passed->names);
        free(passed->fds);
        *passed = (struct listen_passed){ 0 };
}

int listen_find_passed(struct listen_passed *passed, const char *name, bool any, struct listener *ret_listener)
{
        for (int i = 0; i < passed->n; i++) {
                bool mine = strcmp(passed->names[i], name) == 0 || (any && passed->n == 1);

                if (!mine || !fd_has(&passed->fds[i]))
                        continue;
                if (sd_is_socket(passed->fds[i].num, AF_UNIX, SOCK_STREAM, 1) <= 0)
                        return -ENOTSOCK;
                *ret_listener = (struct listener){ .socket = fd_take(&passed->fds[i]) };
                return fd_nonblock(ret_listener->socket.num, true);
        }
        return -ENOENT;
}

int listen_take_control(struct listen_passed *passed, struct listener *ret_listener)
{
        for (int i = 0; i < passed->n; i++) {
                if (strcmp(passed->names[i], "control") != 0 ||
                    sd_is_socket(passed->fds[i].num, AF_UNIX, SOCK_SEQPACKET, 1) <= 0)
                        continue;
                *ret_listener = (struct listener){ .socket = fd_take(&passed->fds[i]) };
                free(passed->names[i]);
                passed->n--;
                passed->names[i] = passed->names[passed->n];
                passed->fds[i] = passed->fds[passed->n];
                return fd_nonblock(ret_listener->socket.num, true);
        }
        return -ENOENT;
}

int listen_on_fd(int num, const struct log *log, struct listener *ret_listener)
{
        struct listener listener = { .socket = FD_NONE };
        int r = sd_is_socket(num, AF_UNIX, SOCK_STREAM, -1);

        if (r <= 0) {
                r = r < 0 ? r : -ENOTSOCK;
                log_error(log, "--fd=%d: not a UNIX stream socket: %s", num, log_errno(r));
                return r;
        }
        listener.connected = sd_is_socket(num, AF_UNIX, SOCK_STREAM, 1) == 0;
        r = fd_dup(num, &listener.socket);
        if (r == 0 && !listener.connected)
                r = fd_nonblock(listener.socket.num, true);
        if (r < 0) {
                log_error(log, "--fd=%d: %s", num, log_errno(r));
                fd_close(&listener.socket);
                return r;
        }
        if (num > STDERR_FILENO)
                close(num);
        *ret_listener = listener;
        return 0;
}

/* Removes a socket file that a dead listener left. -EADDRINUSE: it is alive, or no socket. */
static int remove_stale(const struct sockaddr_un *address, int type)
{
        AUTO_FD probe = { socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
        struct stat status;

        if (!fd_has(&probe))
                return -errno;
        if (lstat(address->sun_path, &status) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(status.st_mode))
                return -EADDRINUSE;
        if (connect(probe.num, (const struct sockaddr *) address, sizeof(*address)) == 0 || errno != ECONNREFUSED)
                return -EADDRINUSE;
        return unlink(address->sun_path) < 0 ? -errno : 0;
}

static int bind_path(int sock, const struct sockaddr_un *address, int type)
{
        int r;

        if (bind(sock, (const struct sockaddr *) address, sizeof(*address)) == 0)
                return 0;
        if (errno != EADDRINUSE)
                return -errno;
        r = remove_stale(address, type);
        if (r < 0)
                return r;
        return bind(sock, (const struct sockaddr *) address, sizeof(*address)) < 0 ? -errno : 0;
}

/* -ENAMETOOLONG. */
static int address_of(const char *path, struct sockaddr_un *ret_address)
{
        if (strlen(path) >= sizeof(ret_address->sun_path))
                return -ENAMETOOLONG;
        *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        memcpy(ret_address->sun_path, path, strlen(path) + 1);
        return 0;
}

static int listen_on(int type, const char *path, const char *where, const struct log *log,
                     struct listener *ret_listener)
{
        AUTO_FD sock = { socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
        struct sockaddr_un address;
        int r = fd_has(&sock) ? address_of(path, &address) : -errno;

        if (r == 0)
                r = bind_path(sock.num, &address, type);
        if (r == 0 && listen(sock.num, BACKLOG) < 0)
                r = -errno;
        if (r < 0) {
                log_error(log, "%s%ssocket %s: %s%s", where ? where : "", where ? ": " : "", path,
                          r == -EADDRINUSE ? "in use by another process, or not a socket: " : "", log_errno(r));
                return r;
        }
        *ret_listener = (struct listener){ .socket = fd_take(&sock), .unlink = strdup(path) };
        return 0;
}

int listen_on_path(const char *path, const char *where, const struct log *log, struct listener *ret_listener)
{
        return listen_on(SOCK_STREAM, path, where, log, ret_listener);
}

int listen_on_seqpacket(const char *path, const struct log *log, struct listener *ret_listener)
{
        return listen_on(SOCK_SEQPACKET, path, NULL, log, ret_listener);
}

/* A UNIX socket connects at once or not at all: there is nothing to wait for (unix(7)). */
int listen_connect_out(const char *path, struct fd *ret_connection)
{
        AUTO_FD sock = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
        struct sockaddr_un address;
        int r = fd_has(&sock) ? address_of(path, &address) : -errno;

        if (r == 0 && connect(sock.num, (const struct sockaddr *) &address, sizeof(address)) < 0)
                r = -errno;
        if (r == 0)
                *ret_connection = fd_take(&sock);
        return r;
}

void listener_leave(struct listener *listener)
{
        if (listener->unlink)
                unlink(listener->unlink); /* refused if it was made by root: the next start replaces it */
        free(listener->unlink);
        listener->unlink = NULL;
}

void listener_done(struct listener *listener)
{
        listener_leave(listener);
        fd_close(&listener->socket);
        *listener = (struct listener){ .socket = FD_NONE };
}
