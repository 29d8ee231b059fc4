/*
 * vhost-broker: opens what the devices need while it may, gives its privilege away, and then accepts, spawns, reaps.
 */
#include "affinity.h"
#include "array.h"
#include "broker_log.h"
#include "capabilities.h"
#include "control.h"
#include "device.h"
#include "down.h"
#include "host.h"
#include "host_open.h"
#include "inherited.h"
#include "process_limits.h"
#include "options.h"
#include "own_filter.h"
#include "policy_print.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

/* The devices' configs, wherever they came from; the caller's to free. */
static int load_config(struct options *options, const struct log *log, struct config *ret_config)
{
        if (!options->alone && !options->device && options->action == OPTIONS_RUN)
                return config_load_sound(options->config_dir, options->run_dir, log, ret_config);
        if (!options->alone)
                return config_load(options->config_dir, options->device, options->run_dir, log, ret_config);
        ret_config->device = calloc(1, sizeof(*ret_config->device));
        if (!ret_config->device)
                return -ENOMEM;
        ret_config->n = 1;
        ret_config->device[0] = options->standing;
        options->standing = (struct device_config){ 0 };
        return 0;
}

static int give_privilege_away(struct host *host, const struct options *options, const struct config *config)
{
        struct privilege_want want = {
                .has_user = options->has_user,
                .uid = options->uid,
                .gid = options->gid,
                .uid_base = options->uid_base,
                .uid_count = options->uid_count,
                .run_dir = options->run_dir,
                .ids = LIMITS_IDS_PER_DEVICE * config->n,
                .may_lack = ~0U,
        };
        int r;

        for (unsigned i = 0; i < config->n; i++)
                want.may_lack &= config->device[i].may_lack;
        r = privilege_give_away(&want, host->log, &host->privilege);
        if (r == 0)
                r = slots_init(&host->slots, host->privilege.count, host->privilege.own_uid);
        return r;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
        (void) source;
        (void) info;
        host_stop(context);
        return 0;
}

/* A reload, if somebody sent it; the kernel sends one when our terminal has gone, and then so do we. */
static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
        (void) source;
        if (info->ssi_code == SI_KERNEL)
                host_stop(context);
        else
                host_look(context);
        return 0;
}

static int watch_signals(struct host *host)
{
        static const struct {
                int number;
                sd_event_signal_handler_t handler;
        } all[] = { { SIGTERM, on_signal }, { SIGINT, on_signal }, { SIGHUP, on_hangup } };
        sigset_t set;

        sigemptyset(&set);
        for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
                sigaddset(&set, all[i].number);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
                int r = sd_event_add_signal(host->event, NULL, all[i].number, all[i].handler, host);

                if (r < 0)
                        return r;
        }
        return sd_event_set_watchdog(host->event, 1);
}

static int serve(struct host *host, struct control *control)
{
        int r = sd_event_default(&host->event);

        if (r >= 0)
                r = host_prepare(host);
        if (r >= 0)
                r = watch_signals(host);
        for (unsigned i = 0; r >= 0 && i < host->n_devices; i++)
                r = device_start(&host->device[i], host);
        for (unsigned i = 0; r >= 0 && i < host->n_down; i++)
                r = down_start(&host->down[i], host);
        if (r >= 0)
                r = control_start(control, host);
        if (r < 0) {
                log_error(host->log, "event loop: %s", log_errno(r));
                return r;
        }
        sd_notify(0, "READY=1");
        host_report(host);
        if (host->n_down)
                log_warning(host->log, "ready: %u devices, %u down", host->n_devices, host->n_down);
        else
                log_info(host->log, "ready: %u devices", host->n_devices);
        return sd_event_loop(host->event);
}

static int run(struct options *options, const struct config *config, struct log *log)
{
        struct host host = { .log = log };
        struct control control = { .listener.socket = FD_NONE };
        int r;

        signal(SIGPIPE, SIG_IGN);
        r = limits_raise(config, log);
        if (r >= 0)
                r = programs_open(log, &host.programs);
        if (r >= 0)
                r = host_open(&host, &control, options, config);
        if (r >= 0)
                r = give_privilege_away(&host, options, config);
        if (r >= 0)
                r = own_filter_load(log);
        if (r >= 0)
                r = serve(&host, &control);
        for (unsigned i = 0; i < host.n_devices; i++)
                device_done(&host.device[i]);
        for (unsigned i = 0; i < host.n_down; i++)
                down_done(&host.down[i]);
        control_done(&control);
        free(host.device);
        free(host.down);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Judges the disks as well, but does not lock them: a broker that runs may hold the locks. */
static int check_devices(struct config *config, const struct log *log)
{
        int status = EXIT_SUCCESS;

        for (unsigned i = 0; i < config->n; i++) {
                struct resource resource;

                config->device[i].block.locking = false;
                if (affinity_check(&config->device[i], log) < 0)
                        status = EXIT_FAILURE;
                if (resource_open(&config->device[i], log, 0, &resource) < 0)
                        status = EXIT_FAILURE;
                else
                        resource_done(&resource);
        }
        return status;
}

static int load_and_run(struct options *options, struct log *log)
{
        struct config config = { 0 };
        int status = EXIT_FAILURE;
        int r = inherited_close(options->fd);

        if (r < 0) /* nothing of ours hangs on it: children keep named descriptors only */
                log_warning(log, "closing what was left open: %s", log_errno(r));
        r = load_config(options, log, &config);
        if (r >= 0)
                status = options->action == OPTIONS_CHECK_CONFIG ? check_devices(&config, log)
                                                                 : run(options, &config, log);
        config_done(&config);
        return status;
}

static int print_type(const struct device_config *device, const struct log *log)
{
        int r = policy_print(stdout, device ? device->type : NULL, device ? device->block.engine : IPC_ENGINE_AUTO,
                             device && device->postcopy);

        if (r < 0)
                log_error(log, "--print-policy: standard output: %s", log_errno(r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* With --config a device's own policy by its name, else that of a type. */
static int print_policy(const struct options *options, const struct log *log)
{
        const char *name = options->policy_device;
        const struct device_config any = { .type = name && !options->config_dir ? config_type_of(name) : NULL };
        struct config config = { 0 };
        int status = EXIT_FAILURE;

        if (!name)
                return print_type(NULL, log);
        if (any.type)
                return print_type(&any, log);
        if (!options->config_dir) {
                log_error(log, "--print-policy=%s: no such type of device; a configured one needs --config=DIR: EINVAL",
                          name);
                return OPTIONS_EXIT_USAGE;
        }
        if (config_load(options->config_dir, name, options->run_dir, log, &config) >= 0)
                status = print_type(&config.device[0], log);
        config_done(&config);
        return status;
}

static int act(struct options *options, struct log *log, const char *program)
{
        switch (options->action) {
        case OPTIONS_HELP:
                options_help(program);
                return EXIT_SUCCESS;
        case OPTIONS_VERSION:
                printf("vhost-broker %s\n", VB_VERSION);
                return EXIT_SUCCESS;
        case OPTIONS_PRINT_CAPABILITIES:
                return capabilities_print(stdout, options->type) < 0;
        case OPTIONS_PRINT_POLICY:
                return print_policy(options, log);
        default:
                return load_and_run(options, log);
        }
}

int main(int argc, char **argv)
{
        struct broker_log log;
        struct options options;
        int status;

        broker_log_init(&log, NULL, LOG_LEVEL_INFO);
        if (options_parse(argc, argv, listen_passed_count() > 0, &log.log, &options) < 0)
                return OPTIONS_EXIT_USAGE;
        log.log.most = options.log_level;
        status = act(&options, &log.log, argv[0]);
        options_done(&options);
        return status;
}
