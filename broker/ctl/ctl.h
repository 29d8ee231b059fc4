/*
 * vhostctl: what its commands share.
 */
#pragma once

#include "brokers.h"

#include <stdbool.h>

/* Exit status. */
enum ctl_exit {
        CTL_OK = 0,
        CTL_SHORTFALL = 1, /* inspect: not all that the policy demands is in force */
        CTL_USAGE = 2,
        CTL_NO_BROKER = 3,
        CTL_NO_DEVICE = 4,
        CTL_NO_PERMISSION = 5,
        CTL_NOT_RUNNING = 6, /* inspect DEVICE: there is no session and no worker of it now */
        CTL_FAILED = 7,      /* a broker that does not answer as it should, or this host */
};

struct ctl {
        const char *command;
        const char *control_socket; /* NULL: wherever brokers have theirs */
        const char *device;         /* NULL: all */
        bool json, quiet, no_stop;
};

/* The commands: each prints, says its errors on stderr, and returns an exit status. */
enum ctl_exit ctl_list(const struct ctl *ctl, struct brokers *brokers);
enum ctl_exit ctl_show(const struct ctl *ctl, struct brokers *brokers);
enum ctl_exit ctl_stats(const struct ctl *ctl, struct brokers *brokers);
enum ctl_exit ctl_inspect(const struct ctl *ctl, struct brokers *brokers);
