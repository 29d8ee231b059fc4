/*
 * The command line: stand-alone (QEMU's conventions for back-end programs) or with a directory of device files.
 */
#pragma once

#include "config.h"

enum options_action {
        OPTIONS_RUN,
        OPTIONS_CHECK_CONFIG, /* load everything, serve nothing */
        OPTIONS_PRINT_CAPABILITIES,
        OPTIONS_PRINT_POLICY,
        OPTIONS_HELP,
        OPTIONS_VERSION,
};

enum {
        OPTIONS_UID_BASE = 0x70000000, /* first id of the range for sessions and workers */
        OPTIONS_UID_COUNT = 65536,
        OPTIONS_EXIT_USAGE = 2, /* exit status after a mistake in the command line; any other failure is 1 */
};

/* Strings without an owner stated are borrowed from argv. */
struct options {
        enum options_action action;

        const char *config_dir; /* NULL: stand-alone */
        const char *device;     /* --device: only this one of the directory; NULL: all */

        bool alone;                    /* `standing` is complete and checked */
        struct device_config standing; /* owned; socket NULL: `fd`, or what systemd passed */
        int fd;                        /* --fd: listening or connected; -1: none */

        const char *type;          /* of --type or the program's name; PRINT_CAPABILITIES: never NULL */
        const char *policy_device; /* --print-policy=DEVICE; NULL: all */

        bool has_user; /* else the first id of the range is the broker's own */
        uid_t uid;
        gid_t gid;
        uint32_t uid_base, uid_count;
        const char *run_dir;
        const char *cgroup; /* directory for the devices' cgroups; NULL: none are made */
        enum log_level log_level;
        const char *control_socket; /* NULL: the default place; empty: none */
        bool has_control_group;
        gid_t control_group;
};

/*
 * Reads the command line. `listen_fds`: systemd has passed sockets, so none needs to be named. Every mistake is one
 * logged line and -EINVAL. The caller releases with options_done.
 */
int options_parse(int argc, char **argv, bool listen_fds, const struct log *log, struct options *ret_options);

void options_done(struct options *options);

/* The text of --help, to stdout; `program` is argv[0]. */
void options_help(const char *program);
