/*
 * --help.
 */
#include "options.h"

#include <stdio.h>

static const char text[] =
        "Serves virtio devices to virtual machines over vhost-user, each by a confined process of its own.\n"
        "\n"
        "Stand-alone, one device:\n"
        "  --type=TYPE            block or rng; the program name vhost-user-TYPE says it as well\n"
        "  --socket-path=PATH     listen here, or\n"
        "  --fd=N                 serve this socket, listening or connected, or\n"
        "  --set device.connect=PATH  connect to a front-end that listens here\n"
        "  --blk-file=FILE        the disk: a regular file or a block device\n"
        "  --read-only            the guest may not write\n"
        "  --set SECTION.KEY=VALUE  any other key of vhost-broker.conf(5)\n"
        "\n"
        "With device files:\n"
        "  --config=DIR           one file DIR/NAME.conf per device, drop-ins in DIR/NAME.conf.d/\n"
        "  --device=NAME          only this one\n"
        "\n"
        "Both:\n"
        "  --user=NAME|UID        who the broker is once it runs (vhost-broker if there is such a user)\n"
        "  --uid-range=BASE[:COUNT]  host ids for sessions and workers (1879048192:65536)\n"
        "  --run-dir=DIR          for locks and default sockets (/run/vhost-broker)\n"
        "  --cgroup=DIR           make a cgroup for each device below this one\n"
        "  --control-socket=PATH|none  where vhostctl asks; with --config by default in the run-time directory\n"
        "  --control-group=GROUP  who, beside root, may ask there\n"
        "  --log-level=LEVEL      error, warning, notice, info or debug (info)\n"
        "\n"
        "Instead of serving:\n"
        "  --check-config         tell all mistakes\n"
        "  --print-capabilities   what this program can do, as JSON\n"
        "  --print-policy[=DEVICE]  the system calls allowed, each with its user; DEVICE: a type, or with --config a "
        "name\n"
        "  --help, --version\n"
        "\n"
        "Exit status: 0, 2 after a mistake in the command line, 1 after any other failure.\n";

void options_help(const char *program)
{
        printf("Usage: %s --type=TYPE --socket-path=PATH|--fd=N [--blk-file=FILE] [OPTION]...\n"
               "       %s --config=DIR [--device=NAME] [OPTION]...\n\n%s",
               program, program, text);
}
