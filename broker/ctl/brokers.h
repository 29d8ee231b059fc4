/*
 * The brokers of this host, and the devices they name. Who asks takes them for hostile: every packet is checked, every
 * text is ended and cleaned.
 */
#pragma once

#include "control_packets.h"
#include "fd.h"

#include <stdbool.h>
#include <stddef.h>

enum { BROKERS_MOST = 4096, BROKERS_DEVICES_MOST = 1 << 20, BROKERS_TEXT_MOST = 4096 };

struct broker {
        struct fd socket;
        char *path;
        struct control_broker said;
};

/* A socket whose broker does not answer as it should. */
struct mute_broker {
        char *path;
        int error;
};

/* A device that a broker named. */
struct known_device {
        struct broker *broker;
        struct control_device said;
        bool elusive; /* inspect: its processes are others each time */
};

struct brokers {
        struct broker *broker;
        unsigned n;
        struct mute_broker *mute;
        unsigned n_mute;
        struct known_device *device;
        size_t n_devices;
        uint32_t sequence;
};

/*
 * Connects to the broker at a path, or (NULL) to all at the usual places, and asks each for its devices. Who does not
 * answer is among the mute ones, with -EACCES (it does not let us), -ECONNREFUSED, -ETIMEDOUT, -EPROTO...; -ENOENT: at
 * the usual places there is nobody; -ENOMEM. Not logged. Release with brokers_done, also after a failure.
 */
int brokers_open(const char *path, struct brokers *ret_brokers);
void brokers_done(struct brokers *brokers);

/* Asks about the device again. -errno. */
int brokers_refresh(struct brokers *brokers, struct known_device *device);

/* Who may connect to the device. -errno. */
int brokers_allowed(struct brokers *brokers, const struct known_device *device, struct control_allowed *ret_allowed);

/* The limits in force for its front-ends. -errno. */
int brokers_limits(struct brokers *brokers, const struct known_device *device, struct control_limits *ret_limits);

/* What a loop (of said.threads) of the device's worker has counted: nobody has looked at it. -errno. */
int brokers_stats(struct brokers *brokers, const struct known_device *device, uint32_t loop,
                  struct stats_page *ret_page);

/* A long text of its config, empty if it has none, cut at BROKERS_TEXT_MOST bytes. -errno. */
int brokers_text(struct brokers *brokers, const struct known_device *device, enum control_text which, char *ret_text,
                 size_t size);
