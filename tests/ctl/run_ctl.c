/*
 * Running vhostctl.
 */
#include "run_ctl.h"

#include "array.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reads both pipes until both have hung up. */
static void read_both(struct fd *out, struct fd *err, struct ctl_said *said)
{
        size_t n_out = 0, n_err = 0;

        while (fd_has(out) || fd_has(err)) {
                struct pollfd ready[2] = {
                        {out->num,  POLLIN, 0},
                        { err->num, POLLIN, 0}
                };
                ssize_t n;

                ck_assert_msg(poll(ready, 2, FE_TIMEOUT_MS) > 0, "vhostctl hangs: %.2000s", said->out);
                if (ready[0].revents) {
                        n = read(out->num, said->out + n_out, sizeof(said->out) - 1 - n_out);
                        n_out += n > 0 ? (size_t) n : 0;
                        if (n <= 0)
                                fd_close(out);
                }
                if (ready[1].revents) {
                        n = read(err->num, said->err + n_err, sizeof(said->err) - 1 - n_err);
                        n_err += n > 0 ? (size_t) n : 0;
                        if (n <= 0)
                                fd_close(err);
                }
        }
        said->out[n_out] = said->err[n_err] = '\0';
}

static void become(uid_t uid, gid_t gid)
{
        if (uid != geteuid() && (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0))
                _exit(99);
}

void ctl_run_as(uid_t uid, gid_t gid, const char *control, struct ctl_said *ret_said, const char *const *words)
{
        const char *program = getenv("VHOSTCTL");
        char option[RIG_PATH_MAX + 32];
        char *argv[8] = { (char *) program };
        unsigned n = 1;
        struct fd out[2], err[2];
        int pair[2], status;
        pid_t pid;

        ck_assert(program != NULL);
        if (control) {
                snprintf(option, sizeof(option), "--control-socket=%s", control);
                argv[n++] = option;
        }
        for (; *words; words++) {
                ck_assert_uint_lt(n + 1, ARRAY_SIZE(argv));
                argv[n++] = (char *) *words;
        }
        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        out[0].num = pair[0];
        out[1].num = pair[1];
        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        err[0].num = pair[0];
        err[1].num = pair[1];
        pid = fork();
        if (pid == 0) {
                dup2(out[1].num, 1);
                dup2(err[1].num, 2);
                become(uid, gid);
                execv(program, argv);
                _exit(127);
        }
        ck_assert_int_gt(pid, 0);
        fd_close(&out[1]);
        fd_close(&err[1]);
        read_both(&out[0], &err[0], ret_said);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ret_said->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void ctl_run(const char *control, struct ctl_said *ret_said, const char *const *words)
{
        ctl_run_as(geteuid(), getegid(), control, ret_said, words);
}

void ctl_expect(const struct ctl_said *said, int status)
{
        ck_assert_msg(said->status == status, "vhostctl ended with %d instead of %d: %.3000s%.1000s", said->status,
                      status, said->out, said->err);
}

void ctl_expect_text(const struct ctl_said *said, const char *text)
{
        ck_assert_msg(strstr(said->out, text) != NULL, "'%s' is not in: %.6000s", text, said->out);
}

void ctl_expect_json(const struct ctl_said *said)
{
        FILE *parser = popen("python3 -c 'import json, sys; json.load(sys.stdin)'", "w");

        ck_assert(parser != NULL);
        fputs(said->out, parser);
        ck_assert_msg(pclose(parser) == 0, "no JSON: %.2000s", said->out);
}

void ctl_lay_out(const char *const from[4])
{
        static const char *const to[] = { "broker/vhost-broker", "broker/session/vhost-session", "worker/vhost-worker",
                                          "broker/ctl/vhostctl" };
        const char *base = getenv("RIG_DIR");
        char command[1024], path[256];

        for (unsigned i = 0; i < ARRAY_SIZE(to); i++) {
                snprintf(command, sizeof(command), "install -D -m 755 '%s' '%s/tree/%s'", getenv(from[i]), base, to[i]);
                ck_assert_int_eq(system(command), 0);
        }
        snprintf(path, sizeof(path), "%s/tree/%s", base, to[0]);
        setenv("VHOST_BROKER", path, 1);
        snprintf(path, sizeof(path), "%s/tree/%s", base, to[3]);
        setenv("VHOSTCTL", path, 1);
}
