/*
 * Listening sockets: stale files are replaced, living ones and strangers are not.
 */
#include "listen.h"
#include "peer.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/listen-XXXXXX";
static char path[64];

static void drop_line(void *context, enum log_level level, const char *text)
{
        (void) context;
        (void) level;
        (void) text;
}

static const struct log log_nowhere = { .sink = drop_line, .most = LOG_LEVEL_DEBUG };

static struct fd connect_to(const char *to)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct fd fd = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", to);
        ck_assert_int_eq(connect(fd.num, (struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

START_TEST(replaces_what_nobody_listens_on)
{
        struct listener first = { FD_NONE }, second = { FD_NONE };
        AUTO_FD client = FD_NONE;

        ck_assert_int_eq(listen_on_path(path, NULL, &log_nowhere, &first), 0);
        ck_assert_int_eq(listen_on_path(path, NULL, &log_nowhere, &second), -EADDRINUSE);
        fd_close(&first.socket); /* the file stays behind */
        ck_assert_int_eq(access(path, F_OK), 0);
        ck_assert_int_eq(listen_on_path(path, NULL, &log_nowhere, &second), 0);
        client = connect_to(path);
        free(first.unlink);
        listener_done(&second);
        ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(never_removes_a_file)
{
        struct listener listener = { FD_NONE };
        AUTO_FD file = { open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) };
        char longer[200];

        ck_assert(fd_has(&file));
        ck_assert_int_eq(listen_on_path(path, NULL, &log_nowhere, &listener), -EADDRINUSE);
        ck_assert_int_eq(unlink(path), 0);
        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        ck_assert_int_eq(listen_on_path(longer, NULL, &log_nowhere, &listener), -ENAMETOOLONG);
        ck_assert_int_eq(listen_on_path("/nowhere/at/all", NULL, &log_nowhere, &listener), -ENOENT);
}
END_TEST

START_TEST(tells_listening_from_connected)
{
        struct listener listener = { FD_NONE }, passed = { FD_NONE };
        int pair[2], pipes[2];

        ck_assert_int_eq(listen_on_path(path, NULL, &log_nowhere, &listener), 0);
        ck_assert_int_eq(listen_on_fd(fcntl(listener.socket.num, F_DUPFD, 50), &log_nowhere, &passed), 0);
        ck_assert(!passed.connected);
        listener_done(&passed);
        listener_done(&listener);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(listen_on_fd(pair[0], &log_nowhere, &passed), 0);
        ck_assert(passed.connected);
        listener_done(&passed);
        close(pair[1]);
        ck_assert_int_eq(pipe(pipes), 0);
        ck_assert_int_eq(listen_on_fd(pipes[0], &log_nowhere, &passed), -ENOTSOCK);
        ck_assert_int_eq(listen_on_fd(1000, &log_nowhere, &passed), -EBADF);
        close(pipes[0]);
        close(pipes[1]);
}
END_TEST

START_TEST(knows_its_peer)
{
        uid_t others = getuid() + 1, own = getuid();
        gid_t group = getgid();
        struct device_config config = { 0 };
        struct peer peer;
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(peer_of(pair[0], &peer), 0);
        ck_assert_uint_eq(peer.uid, getuid());
        ck_assert_int_eq(peer_allowed(&peer, pair[0], &config), 0);
        config.allow_user = &others;
        config.n_allow_user = 1;
        ck_assert_int_eq(peer_allowed(&peer, pair[0], &config), -EACCES);
        config.allow_group = &group;
        config.n_allow_group = 1;
        ck_assert_int_eq(peer_allowed(&peer, pair[0], &config), 0);
        config.n_allow_group = 0;
        config.allow_user = &own;
        ck_assert_int_eq(peer_allowed(&peer, pair[0], &config), 0);
        close(pair[0]);
        close(pair[1]);
        ck_assert_int_lt(peer_of(1000, &peer), 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("listen");
        TCase *all = tcase_create("all");
        SRunner *runner = srunner_create(suite);
        int failed;

        if (!mkdtemp(dir))
                return EXIT_FAILURE;
        snprintf(path, sizeof(path), "%s/socket", dir);
        tcase_add_test(all, replaces_what_nobody_listens_on);
        tcase_add_test(all, never_removes_a_file);
        tcase_add_test(all, tells_listening_from_connected);
        tcase_add_test(all, knows_its_peer);
        suite_add_tcase(suite, all);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed || rmdir(dir) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
