/*
 * The command line. It comes from whoever may start the broker; mistakes are told, nothing is guessed.
 */
#include "option_rows.h"

#include "virtio.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM_PREFIX "vhost-user-"
#define OWN_USER "vhost-broker"
#define DEFAULT_RUN_DIR "/run/vhost-broker"

enum {
        OPTION_FIRST = 256, /* what getopt_long() returns for the first row */
        OPTIONS_MOST = 32,
};

static const char *program_of(const char *path)
{
        const char *slash = path ? strrchr(path, '/') : NULL;

        return slash ? slash + 1 : path ? path : "";
}

static int take_option(struct parse *p, const struct option_row *row, const char *value)
{
        const char *equals = !value ? "" : strcmp(row->name, "set") == 0 ? " " : "=";

        p->row = row;
        snprintf(p->text, sizeof(p->text), "--%s%s%s", row->name, equals, value ? value : "");
        return row->take(p, value);
}

static int take_options(struct parse *p, int argc, char **argv)
{
        struct option known[OPTIONS_MOST + 1] = { 0 };
        int found, r = 0;

        for (size_t i = 0; i < option_n_rows && i < OPTIONS_MOST; i++)
                known[i] =
                        (struct option){ option_rows[i].name, option_rows[i].argument, NULL, OPTION_FIRST + (int) i };
        optind = 0; /* glibc: begin anew */
        while (r == 0 && (found = getopt_long(argc, argv, ":", known, NULL)) != -1) {
                if (found == '?' && optopt > 0 && optopt < OPTION_FIRST)
                        snprintf(p->text, sizeof(p->text), "-%c", optopt);
                else
                        snprintf(p->text, sizeof(p->text), "%s", argv[optind - 1]);
                if (found == ':')
                        r = option_refuse(p, "needs a value");
                else if (found < OPTION_FIRST)
                        r = option_refuse(p, "there is no such option, or it takes no value (see --help)");
                else
                        r = take_option(p, &option_rows[found - OPTION_FIRST], optarg);
        }
        if (r == 0 && optind < argc) {
                log_error(p->log, "%.200s: only options are understood (see --help)", argv[optind]);
                r = -EINVAL;
        }
        return r;
}

/* The type that the program's name stands for, or NULL. */
static const struct policy_device *program_type(const char *program)
{
        size_t length = strlen(PROGRAM_PREFIX);

        return strncmp(program, PROGRAM_PREFIX, length) == 0 ? config_type_of(program + length) : NULL;
}

static int use_program_type(struct parse *p, const char *program)
{
        const struct policy_device *type = program_type(program);
        struct device_config *standing = &p->options->standing;

        snprintf(p->text, sizeof(p->text), "%s", program);
        if (!type || standing->type == type)
                return 0;
        if (standing->type)
                return option_refuse(p, "this program's name says another type than --type");
        return config_set(standing, &(struct config_place){ p->text, 0 }, "Device", "Type", type->type, p->log);
}

static int check_needed(const struct parse *p, bool listen_fds)
{
        const struct options *o = p->options;
        const struct device_config *standing = &o->standing;
        const struct config_block *block = &standing->block;
        const char *needed = NULL;

        if (!standing->type)
                needed = "--config=DIR or --type=TYPE is needed (see --help)";
        else if (standing->socket && o->fd >= 0)
                needed = "--socket-path and --fd exclude each other";
        else if (standing->connect && o->fd >= 0)
                needed = "device.connect and --fd exclude each other";
        else if (!standing->socket && !standing->connect && o->fd < 0 && !listen_fds)
                needed = "--socket-path=PATH or --fd=N is needed";
        else if (standing->type->id == VIRTIO_ID_BLOCK && !block->path && block->engine != IPC_ENGINE_NULL)
                needed = "--blk-file=FILE is needed";
        if (!needed)
                return 0;
        log_error(p->log, "%s", needed);
        return -EINVAL;
}

/* The device is called by its type. */
static int complete_alone(struct parse *p, const char *program, bool listen_fds)
{
        struct options *o = p->options;
        int r = use_program_type(p, program);
        char *name;

        if (r == 0)
                r = check_needed(p, listen_fds);
        if (r == 0)
                r = config_check(&o->standing, &(struct config_place){ "command line", 0 }, p->log);
        if (r < 0)
                return r;
        name = strdup(o->standing.type->type);
        if (!name)
                return -ENOMEM;
        free(o->standing.name);
        o->standing.name = name;
        o->type = o->standing.type->type;
        o->alone = true;
        return 0;
}

static int complete(struct parse *p, const char *program, bool listen_fds)
{
        struct options *o = p->options;

        if (o->action != OPTIONS_RUN && o->action != OPTIONS_CHECK_CONFIG)
                return 0;
        if (o->config_dir && p->alone[0]) {
                log_error(p->log, "--config and %s exclude each other", p->alone);
                return -EINVAL;
        }
        if (o->config_dir)
                return 0;
        if (o->device) {
                log_error(p->log, "--device needs --config=DIR");
                return -EINVAL;
        }
        return complete_alone(p, program, listen_fds);
}

/* All other options are ignored, whether right or wrong; of the type, the last one counts. */
static bool capabilities_wanted(int argc, char **argv, const char **ret_type)
{
        const struct policy_device *type = argc > 0 ? program_type(program_of(argv[0])) : NULL;
        bool wanted = false;

        *ret_type = type ? type->type : policy_block.type;
        for (int i = 1; i < argc; i++) {
                wanted = wanted || strcmp(argv[i], "--print-capabilities") == 0;
                if (strncmp(argv[i], "--type=", 7) == 0)
                        *ret_type = argv[i] + 7;
                else if (strcmp(argv[i], "--type") == 0 && i + 1 < argc)
                        *ret_type = argv[i + 1];
        }
        return wanted;
}

static int capabilities_only(struct parse *p)
{
        p->options->action = OPTIONS_PRINT_CAPABILITIES;
        snprintf(p->text, sizeof(p->text), "--type=%s", p->options->type);
        return config_type_of(p->options->type) ? 0 : option_refuse(p, "there is no such type of device");
}

static int init_options(struct options *options)
{
        const struct passwd *own = getpwnam(OWN_USER);

        *options = (struct options){
                .fd = -1,
                .uid_base = OPTIONS_UID_BASE,
                .uid_count = OPTIONS_UID_COUNT,
                .run_dir = DEFAULT_RUN_DIR,
                .log_level = LOG_LEVEL_INFO,
        };
        if (own && own->pw_uid != 0) {
                options->has_user = true;
                options->uid = own->pw_uid;
                options->gid = own->pw_gid;
        }
        return config_init(&options->standing, "alone");
}

int options_parse(int argc, char **argv, bool listen_fds, const struct log *log, struct options *ret_options)
{
        struct options options;
        struct parse parse = { .options = &options, .log = log };
        const char *type;
        int r = init_options(&options);

        if (r < 0)
                return r;
        if (capabilities_wanted(argc, argv, &type)) {
                options.type = type;
                r = capabilities_only(&parse);
        } else {
                r = take_options(&parse, argc, argv);
                if (r == 0)
                        r = complete(&parse, program_of(argc > 0 ? argv[0] : NULL), listen_fds);
        }
        if (r < 0)
                options_done(&options);
        else
                *ret_options = options;
        return r;
}

void options_done(struct options *options)
{
        config_free(&options->standing);
}
