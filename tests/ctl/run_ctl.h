/*
 * Running vhostctl and looking at what it says.
 */
#pragma once

#include "rig.h"

enum { CTL_SAID_MAX = 1 << 16 };

struct ctl_said {
        int status; /* exit status; 128 and above: ended by a signal */
        char out[CTL_SAID_MAX], err[4096];
};

/* Runs vhostctl (environment VHOSTCTL) with --control-socket, unless that is NULL, and up to four words. */
void ctl_run(const char *control, struct ctl_said *ret_said, const char *const *words);

#define CTL(rig, said, ...) ctl_run((rig)->control, said, (const char *const[]){ __VA_ARGS__, NULL })

/* The same as another user and group; takes root. */
void ctl_run_as(uid_t uid, gid_t gid, const char *control, struct ctl_said *ret_said, const char *const *words);

#define CTL_AS(uid, gid, rig, said, ...)                                                                               \
        ctl_run_as(uid, gid, (rig)->control, said, (const char *const[]){ __VA_ARGS__, NULL })

/*
 * Copies programs to RIG_DIR/tree, laid out like a build tree, and uses the broker and vhostctl there from now on
 * (VHOST_BROKER, VHOSTCTL). The environment names what is copied: for broker, session, worker, vhostctl.
 */
void ctl_lay_out(const char *const from[4]);

/* Fails the test unless it ended with that status. */
void ctl_expect(const struct ctl_said *said, int status);

/* Fails the test unless its output is JSON. */
void ctl_expect_json(const struct ctl_said *said);

/* Fails the test unless its output holds the text. */
void ctl_expect_text(const struct ctl_said *said, const char *text);
