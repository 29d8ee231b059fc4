/*
 * The options: one row each, with the function that takes its value.
 */
#include "option_rows.h"

#include "array.h"
#include "config_value.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
        UID_LEAST = 65536, /* below are people, services and 65534, the id of nobody */
        UID_COUNT_LEAST = 2,
        UID_COUNT_MOST = 1 << 24,
        SOCKET_BYTES = sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1,
};

int option_refuse(const struct parse *p, const char *why)
{
        log_error(p->log, "%.200s: %s", p->text, why);
        return -EINVAL;
}

static int set_key(struct parse *p, const char *section, const char *key, const char *value)
{
        struct config_place place = { p->text, 0 };

        if (!p->alone[0])
                snprintf(p->alone, sizeof(p->alone), "--%s", p->row->name);
        return config_set(&p->options->standing, &place, section, key, value, p->log);
}

static int take_key(struct parse *p, const char *value)
{
        return set_key(p, p->row->section, p->row->key, value ? value : "yes");
}

/* SECTION.KEY=VALUE */
static int take_set(struct parse *p, const char *value)
{
        const char *dot = strchr(value, '.'), *equals = strchr(value, '=');
        char section[64], key[64];

        if (!dot || !equals || dot > equals || dot - value >= (int) sizeof(section) || equals - dot > (int) sizeof(key))
                return option_refuse(p, "must be SECTION.KEY=VALUE");
        snprintf(section, sizeof(section), "%.*s", (int) (dot - value), value);
        snprintf(key, sizeof(key), "%.*s", (int) (equals - dot - 1), dot + 1);
        return set_key(p, section, key, equals + 1);
}

static int take_fd(struct parse *p, const char *value)
{
        struct value_why why;
        struct stat st;
        uint32_t fd;

        if (!p->alone[0])
                snprintf(p->alone, sizeof(p->alone), "--fd");
        if (value_number(value, 0, INT32_MAX, &fd, &why) < 0)
                return option_refuse(p, why.text);
        if (fstat((int) fd, &st) < 0 || !S_ISSOCK(st.st_mode))
                return option_refuse(p, "is not an open socket");
        p->options->fd = (int) fd;
        return 0;
}

static int take_action(struct parse *p, const char *value)
{
        p->options->action = p->row->action;
        if (p->row->action == OPTIONS_PRINT_POLICY)
                p->options->policy_device = value;
        return 0;
}

static int take_config(struct parse *p, const char *value)
{
        p->options->config_dir = value;
        return 0;
}

static int take_device(struct parse *p, const char *value)
{
        p->options->device = value;
        return config_name_ok(value) ? 0 : option_refuse(p, "is not the name of a device");
}

static void use_user(struct options *options, uid_t uid, gid_t gid)
{
        options->has_user = true;
        options->uid = uid;
        options->gid = gid;
}

static int take_user(struct parse *p, const char *value)
{
        const struct passwd *user = getpwnam(value);
        struct value_why why;
        uint32_t uid;

        if (!user && value_number(value, 1, UINT32_MAX - 1, &uid, &why) < 0)
                return option_refuse(p, "there is no such user");
        if (!user)
                user = getpwuid(uid);
        if (user && user->pw_uid == 0)
                return option_refuse(p, "must not be root");
        if (user)
                use_user(p->options, user->pw_uid, user->pw_gid);
        else
                use_user(p->options, uid, uid);
        return 0;
}

/* BASE[:COUNT] */
static int take_uid_range(struct parse *p, const char *value)
{
        size_t length = strcspn(value, ":");
        uint32_t base, count = OPTIONS_UID_COUNT;
        struct value_why why;
        char text[16] = "";

        if (length < sizeof(text))
                memcpy(text, value, length);
        if (value_number(text, UID_LEAST, UINT32_MAX - 1, &base, &why) < 0)
                return option_refuse(p, why.text);
        if (value[length] && value_number(value + length + 1, UID_COUNT_LEAST, UID_COUNT_MOST, &count, &why) < 0)
                return option_refuse(p, why.text);
        if (count > UINT32_MAX - base)
                return option_refuse(p, "reaches beyond the last id");
        p->options->uid_base = base;
        p->options->uid_count = count;
        return 0;
}

static int take_run_dir(struct parse *p, const char *value)
{
        p->options->run_dir = value;
        return value[0] == '/' ? 0 : option_refuse(p, "must be an absolute path");
}

/* Empty: as if it was not given, so that a unit can take it back. */
static int take_cgroup(struct parse *p, const char *value)
{
        p->options->cgroup = value[0] ? value : NULL;
        return !value[0] || value[0] == '/' ? 0 : option_refuse(p, "must be an absolute path");
}

static int take_control_socket(struct parse *p, const char *value)
{
        bool none = strcmp(value, "none") == 0;

        if (!value[0] || strlen(value) > SOCKET_BYTES)
                return option_refuse(p, "must be a path that fits into a socket's address, or none");
        p->options->control_socket = none ? "" : value;
        return 0;
}

static int take_control_group(struct parse *p, const char *value)
{
        const struct group *group = getgrnam(value);
        struct value_why why;
        uint32_t gid;

        if (!group && value_number(value, 0, UINT32_MAX - 1, &gid, &why) < 0)
                return option_refuse(p, "there is no such group");
        p->options->has_control_group = true;
        p->options->control_group = group ? group->gr_gid : gid;
        return 0;
}

static int take_log_level(struct parse *p, const char *value)
{
        static const char *const levels[] = { "error", "warning", "notice", "info", "debug" };
        struct value_why why;
        unsigned i;

        if (value_choice(value, levels, ARRAY_SIZE(levels), &i, &why) < 0)
                return option_refuse(p, why.text);
        p->options->log_level = (enum log_level)(LOG_LEVEL_ERROR + i);
        return 0;
}

/* clang-format off */
const struct option_row option_rows[] = {
        { "type", required_argument, take_key, "Device", "Type" },
        { "socket-path", required_argument, take_key, "Device", "Socket" },
        { "fd", required_argument, take_fd },
        { "blk-file", required_argument, take_key, "Block", "Path" },
        { "read-only", no_argument, take_key, "Block", "ReadOnly" },
        { "set", required_argument, take_set },
        { "config", required_argument, take_config },
        { "device", required_argument, take_device },
        { "check-config", no_argument, take_action, .action = OPTIONS_CHECK_CONFIG },
        { "print-policy", optional_argument, take_action, .action = OPTIONS_PRINT_POLICY },
        { "print-capabilities", no_argument, take_action, .action = OPTIONS_PRINT_CAPABILITIES },
        { "user", required_argument, take_user },
        { "uid-range", required_argument, take_uid_range },
        { "run-dir", required_argument, take_run_dir },
        { "cgroup", required_argument, take_cgroup },
        { "control-socket", required_argument, take_control_socket },
        { "control-group", required_argument, take_control_group },
        { "log-level", required_argument, take_log_level },
        { "help", no_argument, take_action, .action = OPTIONS_HELP },
        { "version", no_argument, take_action, .action = OPTIONS_VERSION },
};
/* clang-format on */

const size_t option_n_rows = ARRAY_SIZE(option_rows);
