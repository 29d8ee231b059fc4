/*
 * A program under test: started with its stderr in a pipe and a NOTIFY_SOCKET, ended with a look at what it leaves.
 * The caller must be able to adopt orphans: prog_start makes it a subreaper.
 */
#pragma once

#include "fd.h"

#include <stddef.h>
#include <sys/types.h>

enum { PROG_LOG_MAX = 1 << 20 };

struct prog {
        pid_t pid;
        struct fd pidfd;
        struct fd err;    /* read end of its stderr */
        struct fd notify; /* where its READY=1 arrives */
        char *log;        /* stderr so far, NUL terminated */
        size_t log_n;
};

/* Starts argv (NULL-terminated, searched in PATH). -errno; that exec fails shows as an early end. */
int prog_start(char *const argv[], struct prog *ret_prog);

/* The same with a listening socket passed as systemd does; it stays the caller's. -1: none. */
int prog_start_with(char *const argv[], int listening, struct prog *ret_prog);

/* Waits for READY=1, once. -ECHILD: it has ended instead; -ETIMEDOUT. */
int prog_ready(struct prog *s, int timeout_ms);

/* Waits until its stderr contains the text, from byte `from` of the log on. -ETIMEDOUT, -ECHILD: it ended without. */
int prog_log_wait(struct prog *s, size_t from, const char *text, int timeout_ms);

/* Waits for its end by itself; *ret_status as of waitpid(2). -ETIMEDOUT. */
int prog_end(struct prog *s, int timeout_ms, int *ret_status);

/* Forgets one that has ended by itself. */
void prog_done(struct prog *s);

/*
 * SIGTERM, then waits for its end and for that of all its descendants. Kills what is left and says -EBUSY for a
 * descendant, -ETIMEDOUT for itself. *ret_ms: how long all took.
 */
int prog_stop(struct prog *s, int timeout_ms, int *ret_status, int *ret_ms);

/* Kills, by their ids, all that descends from the caller; returns how many there were, each said on stderr. */
unsigned prog_kill_left_overs(void);

/* Its descendants whose argv[0] ends in `name` (NULL: all); returns how many, at most max of them stored. */
unsigned prog_find(pid_t root, const char *name, pid_t *pids, unsigned max);

/* Waits until the process has at most `n` descendants. -ETIMEDOUT. */
int prog_await_children(pid_t pid, unsigned n, int timeout_ms);

/* Open descriptors of a process; -errno. */
int prog_count_fds(pid_t pid);

/* Waits until the process has at most `n` open descriptors (there is no event for that: looks every 2 ms). -ETIMEDOUT.
 */
int prog_await_fds(pid_t pid, int n, int timeout_ms);

/* Waits until its main thread is in a state as in /proc/PID/stat: 'S', 'T'. -ETIMEDOUT. */
int prog_await_state(pid_t pid, char state, int timeout_ms);

/* Stops it (SIGSTOP) and waits until it has stopped. SIGCONT lets it go on. -ETIMEDOUT. */
int prog_halt(pid_t pid, int timeout_ms);

/* Kills one process by its id and waits until it is gone from /proc or a zombie. */
int prog_kill(pid_t pid, int timeout_ms);
