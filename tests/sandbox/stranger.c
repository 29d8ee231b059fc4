/*
 * Somebody who may not have the device, but gets as far as its socket: whatever he says before he is thrown out, he gets
 * no answer, and nobody has read it. Others of his kind may, if their user or one of their groups is allowed.
 */
#include "rig.h"

#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STRANGER = 54321, FRIEND = 54322, TIMES = 5 };
enum { SERVED = 10, REFUSED, SILENCE, BROKEN };

/* Says more than one message, the last with a descriptor; how it went. */
static int speak(const char *socket)
{
        const uint64_t call = 0;
        struct fe_reply reply;
        struct fe_conn conn;
        int fd = eventfd(0, EFD_CLOEXEC), r;

        if (fe_connect(socket, FE_TIMEOUT_MS, &conn))
                return BROKEN;
        (void) fe_send(&conn, VU_SET_OWNER, NULL, 0);
        (void) fe_send_flags(&conn, VU_SET_VRING_CALL, VU_VERSION, &call, sizeof(call), &fd, 1);
        (void) fe_send(&conn, VU_GET_FEATURES, NULL, 0);
        r = fe_recv(&conn, &reply);
        return r == 0 ? SERVED : r == -ETIMEDOUT ? SILENCE : REFUSED;
}

/* A process of that user, with one group more than its own. */
static int speak_as(const char *socket, uid_t uid, gid_t gid, gid_t more)
{
        pid_t pid = fork();
        int status = 0;

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                if (setgroups(1, &more) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                        _exit(BROKEN);
                _exit(speak(socket));
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* Only the broker itself shall keep anybody out. */
static void open_doors(const struct rig *rig)
{
        ck_assert_int_eq(chmod(rig->socket, 0666), 0);
}

/* The first session is that of the stand's own first connection. */
static void nobody_read_it(struct rig *rig)
{
        OK(prog_log_wait(&rig->prog, 0, "connection refused: uid 54321", FE_TIMEOUT_MS));
        ck_assert_msg(!strstr(rig->prog.log, "session 2"), "a session was: %s", rig->prog.log);
        ck_assert_uint_eq(prog_find(rig->prog.pid, "vhost-session", NULL, 0), 0);
}

START_TEST(another_user)
{
        RIG_WITH(rig, .set = { "device.AllowUser=0 54322" });

        open_doors(&rig);
        for (unsigned i = 0; i < TIMES; i++)
                ck_assert_int_eq(speak_as(rig.socket, STRANGER, STRANGER, STRANGER), REFUSED);
        nobody_read_it(&rig);
        ck_assert_int_eq(speak_as(rig.socket, FRIEND, FRIEND, FRIEND), SERVED);
        rig_check_alive(&rig);
}
END_TEST

START_TEST(another_group)
{
        RIG_WITH(rig, .set = { "device.AllowGroup=0 54322" });

        open_doors(&rig);
        for (unsigned i = 0; i < TIMES; i++)
                ck_assert_int_eq(speak_as(rig.socket, STRANGER, STRANGER, STRANGER), REFUSED);
        nobody_read_it(&rig);
        ck_assert_int_eq(speak_as(rig.socket, STRANGER, FRIEND, STRANGER), SERVED);
        rig_await_idle(&rig);
        ck_assert_int_eq(speak_as(rig.socket, STRANGER, STRANGER, FRIEND), SERVED);
        rig_check_alive(&rig);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("stranger");
        TCase *all = tcase_create("all");

        if (geteuid() != 0) {
                puts("skipped: only root can be several users");
                return 77;
        }
        tcase_set_timeout(all, 60);
        tcase_add_test(all, another_user);
        tcase_add_test(all, another_group);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
