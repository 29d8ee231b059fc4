/*
 * The attacker outside.
 */
#include "attacker.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 400 };

static const char *path(char to[PATH_BYTES], const char *directory, const char *name)
{
        int n = snprintf(to, PATH_BYTES, "%s/%s", directory, name);

        ck_assert_int_lt(n, PATH_BYTES);
        return to;
}

static void copy(const char *from, const char *to)
{
        AUTO_FD in = { open(from, O_RDONLY | O_CLOEXEC) };
        AUTO_FD out = { open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755) };
        struct stat file;

        ck_assert_msg(in.num >= 0 && out.num >= 0 && !fstat(in.num, &file), "%s: %s", from, log_errno(errno));
        while (file.st_size > 0) {
                ssize_t n = sendfile(out.num, in.num, NULL, (size_t) file.st_size);

                ck_assert_int_gt(n, 0);
                file.st_size -= n;
        }
}

/* A broker that is not installed takes the programs that lie where a build would have put them. */
static void lay_out(const char *tree, bool lenient)
{
        static const char *const directories[] = { "", "broker", "broker/session", "worker" };
        const char *from = getenv("EVIL_DIR"), *broker = getenv("VHOST_BROKER");
        char a[PATH_BYTES], b[PATH_BYTES];

        ck_assert_msg(from && broker, "EVIL_DIR or VHOST_BROKER is not set");
        for (unsigned i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
                ck_assert_int_eq(mkdir(path(a, tree, directories[i]), 0755), 0);
        copy(lenient ? path(a, from, "evil-broker-lenient") : broker, path(b, tree, "broker/vhost-broker"));
        path(a, from, lenient ? "evil-session-lenient" : "evil-session");
        ck_assert_int_eq(symlink(a, path(b, tree, "broker/session/vhost-session")), 0);
        path(a, from, lenient ? "evil-worker-lenient" : "evil-worker");
        ck_assert_int_eq(symlink(a, path(b, tree, "worker/vhost-worker")), 0);
}

void attacker_prepare(bool lenient)
{
        const char *base = getenv("RIG_DIR");
        char tree[PATH_BYTES], broker[PATH_BYTES];

        path(tree, base ? base : "/tmp", lenient ? "lenient" : "strict");
        if (access(tree, F_OK) < 0)
                lay_out(tree, lenient);
        setenv("VHOST_BROKER", path(broker, tree, "broker/vhost-broker"), 1);
}

struct attacker attacker_in_worker(const struct rig *rig)
{
        return (struct attacker){ .conn = rig_connect(rig) };
}

struct attacker attacker_in_session(const struct rig *rig)
{
        struct attacker a = { .conn = rig_connect(rig), .in_session = true };
        struct evil_answer answer;

        OK(attacker_do(&a, (struct evil_command){ .what = EVIL_WHERE }, &answer));
        a.front = (int) (answer.result & 0xffff);
        a.channel = (int) (answer.result >> 16);
        return a;
}

static int hear(struct attacker *a, struct evil_answer *ret_answer)
{
        size_t got = 0;

        while (got < sizeof(*ret_answer)) {
                int r = fe_poll(a->conn.fd.num, POLLIN, fe_deadline(a->conn.timeout_ms));
                ssize_t n = r ? -1 : recv(a->conn.fd.num, (char *) ret_answer + got, sizeof(*ret_answer) - got, 0);

                if (r)
                        return r;
                if (n <= 0)
                        return n < 0 ? -errno : -ECONNRESET;
                got += (size_t) n;
        }
        return 0;
}

int attacker_do(struct attacker *a, struct evil_command command, struct evil_answer *ret_answer)
{
        int r;

        command.magic = EVIL_MAGIC;
        if (a->in_session) {
                r = fe_send_raw(&a->conn, &command, sizeof(command), NULL, 0);
                return r ? r : hear(a, ret_answer);
        }
        r = fe_set_config(&a->conn, 0, &command, sizeof(command), 0);
        return r ? r : fe_get_config(&a->conn, 0, ret_answer, sizeof(*ret_answer));
}

int64_t attacker_call(struct attacker *a, uint64_t number, const uint64_t arguments[6])
{
        struct evil_command command = { .what = EVIL_CALL, .number = number };
        struct evil_answer answer;
        int r;

        memcpy(command.argument, arguments, sizeof(command.argument));
        r = attacker_do(a, command, &answer);
        ck_assert_msg(!r, "call %u was the attacker's end: %s", (unsigned) number, log_errno(r));
        ck_assert_uint_eq(answer.magic, EVIL_MAGIC);
        return answer.result;
}

int attacker_give(struct attacker *a, int fd)
{
        struct evil_command command = { .magic = EVIL_MAGIC, .what = EVIL_KEEP };
        struct evil_answer answer;

        OK(fe_send_raw(&a->conn, &command, sizeof(command), &fd, 1));
        OK(hear(a, &answer));
        ck_assert_int_ge(answer.result, 0);
        return (int) answer.result;
}

void attacker_let(struct attacker *a, struct evil_command command)
{
        struct vu_config config = { .size = sizeof(command) };

        command.magic = EVIL_MAGIC;
        if (a->in_session) {
                OK(fe_send_raw(&a->conn, &command, sizeof(command), NULL, 0));
        } else {
                memcpy(config.bytes, &command, sizeof(command));
                OK(fe_send(&a->conn, VU_SET_CONFIG, &config, offsetof(struct vu_config, bytes) + config.size));
        }
}

void attacker_close(struct attacker *a)
{
        fe_close(&a->conn);
}
