/*
 * A loop: one thread, its vrings (index % loops), and all that they wait for in one place. The first loop is the
 * main thread and also has the channel to the session.
 */
#pragma once

#include "chain.h"
#include "fd.h"
#include "poll_window.h"
#include "stats.h"

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct vring;

struct loop {
        struct worker *worker;
        unsigned index;
        struct fd epoll, wake;
        void *local; /* the device's */
        struct chain_scratch *scratch;
        struct poll_window window;
        struct stats stats;
        bool polling;  /* kicks are refused, rings are looked at */
        bool woken;    /* by another loop */
        bool channel;  /* has a packet */
        bool more;     /* work was left over: do not sleep */
        int error;     /* of the set-up in its own thread */
};

/* Its own descriptors and room. -errno. */
int loop_init(struct loop *loop, struct worker *worker, unsigned index, uint32_t poll_max_us);

/* Opens the device in the loop's own thread. -errno. */
int loop_open(struct loop *loop);

/* Starts the thread of a loop other than the first: it opens the device, parks, and serves. -errno. */
int loop_spawn(struct loop *loop);

/* Serves for ever. */
_Noreturn void loop_run(struct loop *loop);

/* The first loop waits for the channel to the session, too. -errno. */
int loop_watch_channel(struct loop *loop, int channel);

/* Leaves packets in the channel, or reads on. A hang-up is seen either way. */
void loop_hold_channel(struct loop *loop, int channel, bool held);

/* Waits for a vring's kick. -EPERM: this kind of file cannot be waited for. */
int loop_watch_kick(struct loop *loop, const struct vring *vr, int kick);

/* The first loop waits until the device's state can go on. -EPERM: this kind of file cannot be waited for. */
int loop_watch_state(const struct loop *loop, int fd, bool load);

void loop_unwatch(struct loop *loop, int fd);

/* Wakes it up, from any thread. */
void loop_wake(const struct loop *loop);

/* The first loop stops all others and lets them go again; nothing is waited for but they. */
void loops_park(struct worker *worker);
void loops_unpark(struct worker *worker);
