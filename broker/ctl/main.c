/*
 * vhostctl: asks brokers about their devices, and the kernel about their processes.
 */
#include "ctl.h"

#include "array.h"
#include "log.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct {
        const char *name;
        enum ctl_exit (*run)(const struct ctl *ctl, struct brokers *brokers);
        bool takes_device, needs_device;
} commands[] = {
        { "list", ctl_list, false, false },
        { "show", ctl_show, true, true },
        { "stats", ctl_stats, true, false },
        { "inspect", ctl_inspect, true, false },
};

static const char usage[] =
        "Usage: vhostctl [OPTION]... list\n"
        "       vhostctl [OPTION]... show DEVICE\n"
        "       vhostctl [OPTION]... stats [DEVICE]\n"
        "       vhostctl [OPTION]... inspect [DEVICE]\n"
        "\n"
        "Asks the brokers of this host about their devices, and the kernel about their processes.\n"
        "\n"
        "  list     every device, a line each\n"
        "  show     one device: its config in force, who serves it, and what its worker says was negotiated\n"
        "  stats    requests, bytes, errors, latencies: a line for every device, or all of one\n"
        "  inspect  is all that the policy demands in force? Read from the kernel's records; root only\n"
        "\n"
        "  --control-socket=PATH  ask only the broker with this control socket\n"
        "  --json                 for programs\n"
        "  --quiet                inspect: only what falls short\n"
        "  --no-stop              inspect: do not stop processes for the moment that reading their filters takes;\n"
        "                         then which filters they have is not proven\n"
        "  --help, --version\n"
        "\n"
        "Exit status: 0; 1 inspect found a shortfall; 2 a mistake in the command line; 3 no broker; 4 no such device;\n"
        "5 no permission; 6 the device to inspect is not in use; 7 any other failure.\n";

static int mistake(const char *what, const char *which)
{
        fprintf(stderr, "vhostctl: %s%s%s (see --help)\n", which ? which : "", which ? ": " : "", what);
        return -EINVAL;
}

enum { OPT_SOCKET = 256, OPT_JSON, OPT_QUIET, OPT_NO_STOP, OPT_HELP, OPT_VERSION };

/* 1: it was --help or --version, and is done. */
static int take_options(int argc, char **argv, struct ctl *ctl)
{
        static const struct option known[] = {
                { "control-socket", required_argument, NULL, OPT_SOCKET },
                { "json", no_argument, NULL, OPT_JSON },
                { "quiet", no_argument, NULL, OPT_QUIET },
                { "no-stop", no_argument, NULL, OPT_NO_STOP },
                { "help", no_argument, NULL, OPT_HELP },
                { "version", no_argument, NULL, OPT_VERSION },
                { NULL, 0, NULL, 0 },
        };
        int found;

        while ((found = getopt_long(argc, argv, ":", known, NULL)) != -1) {
                switch (found) {
                case OPT_SOCKET:
                        ctl->control_socket = optarg;
                        break;
                case OPT_JSON:
                        ctl->json = true;
                        break;
                case OPT_QUIET:
                        ctl->quiet = true;
                        break;
                case OPT_NO_STOP:
                        ctl->no_stop = true;
                        break;
                case OPT_HELP:
                        fputs(usage, stdout);
                        return 1;
                case OPT_VERSION:
                        printf("vhostctl %s\n", VB_VERSION);
                        return 1;
                default:
                        return mistake("there is no such option, or its value is wrong", argv[optind - 1]);
                }
        }
        return 0;
}

static int take_command(int argc, char **argv, struct ctl *ctl, unsigned *ret_command)
{
        if (optind == argc)
                return mistake("a command is needed", NULL);
        for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
                if (strcmp(commands[i].name, argv[optind]) != 0)
                        continue;
                *ret_command = i;
                ctl->command = argv[optind++];
                if (optind < argc && commands[i].takes_device)
                        ctl->device = argv[optind++];
                if (optind < argc)
                        return mistake("is one word too many", argv[optind]);
                if (!ctl->device && commands[i].needs_device)
                        return mistake("needs the name of a device", ctl->command);
                return 0;
        }
        return mistake("there is no such command", argv[optind]);
}

static enum ctl_exit no_broker(int error)
{
        if (error == -ENOENT)
                fprintf(stderr, "vhostctl: no broker with a control socket runs below /run/vhost-broker "
                                "(--control-socket=PATH names another place)\n");
        else
                fprintf(stderr, "vhostctl: %s\n", log_errno(error));
        return error == -ENOENT ? CTL_NO_BROKER : CTL_FAILED;
}

static enum ctl_exit mute_broker(const struct mute_broker *mute)
{
        int error = mute->error;

        fprintf(stderr, "vhostctl: %s: %s%s\n", mute->path,
                error == -ENOENT || error == -ECONNREFUSED ? "no broker is there: "
                : error == -EACCES || error == -EPERM      ? "the broker does not let you ask: "
                : error == -EPROTONOSUPPORT                ? "a broker of another release: "
                                                           : "",
                log_errno(error));
        return error == -ENOENT || error == -ECONNREFUSED ? CTL_NO_BROKER
               : error == -EACCES || error == -EPERM      ? CTL_NO_PERMISSION
                                                          : CTL_FAILED;
}

/* Of those that do not answer: the last one's. */
static enum ctl_exit mute_brokers(const struct brokers *brokers)
{
        enum ctl_exit status = CTL_OK;

        for (unsigned i = 0; i < brokers->n_mute; i++)
                status = mute_broker(&brokers->mute[i]);
        return status;
}

static bool is_known(const struct brokers *brokers, const char *name)
{
        for (size_t i = 0; i < brokers->n_devices; i++)
                if (strcmp(brokers->device[i].said.name, name) == 0)
                        return true;
        return false;
}

/* What one broker has to say of a device is all of it; what is said of all devices lacks those of the mute ones. */
static enum ctl_exit run(const struct ctl *ctl, unsigned command, struct brokers *brokers)
{
        bool known = ctl->device && is_known(brokers, ctl->device);
        enum ctl_exit mute = known ? CTL_OK : mute_brokers(brokers), status;

        if (brokers->n == 0)
                return mute;
        if (ctl->device && !known) {
                fprintf(stderr, "vhostctl: %s: no broker has a device of that name\n", ctl->device);
                return CTL_NO_DEVICE;
        }
        status = commands[command].run(ctl, brokers);
        return status ? status : mute;
}

int main(int argc, char **argv)
{
        struct ctl ctl = { 0 };
        struct brokers brokers;
        unsigned command = 0;
        enum ctl_exit status;
        int r = take_options(argc, argv, &ctl);

        if (r == 0)
                r = take_command(argc, argv, &ctl, &command);
        if (r)
                return r < 0 ? CTL_USAGE : CTL_OK;
        r = brokers_open(ctl.control_socket, &brokers);
        status = r < 0 ? no_broker(r) : run(&ctl, command, &brokers);
        brokers_done(&brokers);
        if (fflush(stdout) != 0 && status == CTL_OK)
                status = CTL_FAILED;
        return status;
}
