/*
 * What every protocol test stands on: a broker of its own with one device (or two), a scratch directory, and the check
 * at the end that nothing is left of it.
 */
#pragma once

#include "drv_blk.h"
#include "fe_device.h"
#include "fe_time.h"
#include "log.h"
#include "prog.h"

#include <check.h>
#include <errno.h>

enum { RIG_PATH_MAX = 100, RIG_SETS = 6, RIG_THROUGH = 3, RIG_DISK_BYTES = 16 << 20 };

/* For a busy host; that a stop takes less than PROMISED_STOP_MS is shown by the best of PROMISE_TRIES, in two tests. */
enum { RIG_START_MS = 20000, RIG_STOP_MS = 5000, PROMISED_STOP_MS = 1000, PROMISE_TRIES = 5 };

struct rig_options {
        const char *type;   /* NULL: block */
        const char *engine; /* NULL: auto */
        unsigned queues;    /* 0: 4 */
        bool read_only;
        bool held;      /* the rig holds the listening socket, as systemd does, and passes it to each broker */
        bool neighbour; /* a second device behind the same broker */
        unsigned hold_ms; /* HoldMs= of all devices; 0: longer than a busy host needs for what the tests do meanwhile */
        uint64_t disk_bytes;
        const char *disk; /* a file that is there already; NULL: one of disk_bytes is made */
        const char *set[RIG_SETS]; /* further SECTION.KEY=VALUE, not of the neighbour */
        const char *control_group; /* --control-group; NULL: none */
        unsigned user; /* not 0: an ordinary user's broker, and the directory and disks are that user's; takes root */
        const char *through[RIG_THROUGH]; /* a program that executes the broker, and what it is told */
};

struct rig {
        struct rig_options options;
        struct prog prog;
        struct fd held; /* the listening socket, if options.held */
        char dir[RIG_PATH_MAX / 2];
        char socket[RIG_PATH_MAX], disk[RIG_PATH_MAX];
        char other_socket[RIG_PATH_MAX], other_disk[RIG_PATH_MAX];
        char control[RIG_PATH_MAX]; /* the broker's control socket */
        int fds;                    /* of the broker, before the first connection */
};

/* Makes the directory conf, with files of n devices without a disk, whose sockets are DIR/NUMBER.sock. */
void rig_many_configs(const char *conf, const char *dir, unsigned n);

/* Starts a broker and waits until it is ready; fails the test else. */
struct rig rig_start(struct rig_options options);

/* Waits until the broker has as many fds as before, ends it, and fails the test if anything is left. */
void rig_stop(struct rig *rig);

/* Ends the broker without a verdict, where a test has broken it on purpose. */
void rig_drop(struct rig *rig);

/* Kills processes with SIGKILL, without a pause between them, and waits for their ends. */
void rig_kill(struct rig *rig, const pid_t *pids, unsigned n);

/* Kills the broker alone and waits for its end; its sessions and workers are left to end by themselves. */
void rig_crash(struct rig *rig);

/*
 * After the broker was among those: a new one, the same in all, tried as often as it fails to start, for a while, as
 * systemd does; returns how often that was. How many fds it holds is not checked any more.
 */
unsigned rig_restart(struct rig *rig);

#define RIG_WITH(name, ...)                                                                                            \
        __attribute__((cleanup(rig_stop))) struct rig name = rig_start((struct rig_options){ __VA_ARGS__ })
#define RIG(name) RIG_WITH(name, .type = NULL)

/* The only process of that role for the device in use ("vhost-worker", "vhost-session"); waits for it. */
pid_t rig_child(const struct rig *rig, const char *name);

/*
 * Waits until the broker itself has done what a connection's start asks of it, the `session`-th since its own start: a
 * session may answer its front-end before that, and the broker's descriptors are more afterwards.
 */
void rig_await_up(struct rig *rig, unsigned session);

/* Waits until no session and no worker is left. */
void rig_await_idle(const struct rig *rig);

/* Fails the test unless a new connection can read the disk. */
void rig_check_alive(const struct rig *rig);

/* Connects and negotiates all protocol features on offer, REPLY_ACK among them. */
struct fe_conn rig_connect(const struct rig *rig);

/* RIG_RING=packed: are the rings of rig_device() packed ones, as far as a test leaves that open? */
bool rig_packed(void);

/* A started device; fails the test else. */
struct fe_device rig_device(const struct rig *rig, struct fe_options options);

/* One slot block driver with 64 KiB of data on a queue. */
struct drv_blk rig_blk(struct fe_device *device, unsigned queue);

/* Reads sector 1 of the disk through the driver and compares it with the file's pattern. */
void rig_read_one(const struct rig *rig, struct drv_blk *blk);

/* The n bytes that rig_start put at a byte offset of the disk. */
void rig_pattern(uint64_t offset, uint8_t *to, size_t n);

/* The same comparison against the disk file as it is now. */
void rig_read_disk(const struct rig *rig, uint64_t offset, void *to, size_t n);

#define OK(call)                                                                                                       \
        do {                                                                                                           \
                int ok_ = (call);                                                                                      \
                ck_assert_msg(!ok_, "%s: %d %s", #call, ok_, log_errno(ok_));                                          \
        } while (0)

#define FAILS(why, call)                                                                                               \
        do {                                                                                                           \
                int fails_ = (call);                                                                                   \
                ck_assert_msg(fails_ == (why), "%s: %d %s instead of %s", #call, fails_, log_errno(fails_), #why);     \
        } while (0)

/* Nothing was said by the back-end that nobody asked for: the next reply is that to GET_FEATURES. */
void rig_quiet(struct fe_conn *conn);

/* Part of a test that this host cannot have: said once, in the program's last lines. */
void rig_left_out(const char *what);

/* main() of each program: runs the suite in a scratch directory, removes that and whatever processes are left. */
int rig_main(Suite *suite);
