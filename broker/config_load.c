/*
 * The directory of device files: which devices there are, their drop-ins, and what no two of them may share.
 */
#include "config.h"

#include "config_ini.h"
#include "config_value.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".conf"

enum { PATH_BYTES = 4096 };

static int is_conf(const struct dirent *entry)
{
        size_t length = strlen(entry->d_name);

        return entry->d_name[0] != '.' && length > strlen(SUFFIX) &&
               strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) == 0;
}

/* By bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static void free_names(struct dirent **names, int n)
{
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
}

static int join(char *ret_path, const char *dir, const char *name, const char *suffix)
{
        return snprintf(ret_path, PATH_BYTES, "%s/%s%s", dir, name, suffix) < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

/* Drop-ins are read even if the file before them has errors: all of them are to be told at once. */
static int read_drop_ins(const char *dir, struct device_config *config, const struct log *log)
{
        char path[PATH_BYTES];
        struct dirent **names;
        int n = scandir(dir, &names, is_conf, by_name), r = 0;

        if (n < 0 && errno == ENOENT)
                return 0;
        if (n < 0) {
                r = -errno;
                log_error(log, "%s: %s", dir, log_errno(r));
                return r;
        }
        for (int i = 0; i < n; i++) {
                int e = join(path, dir, names[i]->d_name, "");

                if (e == 0)
                        e = config_ini_read(path, config, log);
                else
                        log_error(log, "%s: a drop-in of a path that is too long: %s", dir, log_errno(e));
                r = e < 0 ? e : r;
        }
        free_names(names, n);
        return r;
}

/* Two files as the operator sees one: NAME.conf, and what NAME.conf.d/ lays over it. */
static int read_files(const char *dir, struct device_config *config, char *ret_path, const struct log *log)
{
        char drop_ins[PATH_BYTES];
        int r = join(ret_path, dir, config->name, SUFFIX), e;

        if (r == 0)
                r = join(drop_ins, dir, config->name, SUFFIX ".d");
        if (r < 0) {
                log_error(log, "%.200s: %s", dir, log_errno(r));
                return r;
        }
        r = config_ini_read(ret_path, config, log);
        e = read_drop_ins(drop_ins, config, log);
        return r < 0 ? r : e;
}

static int default_socket(struct device_config *config, const char *run_dir)
{
        if (config->socket || config->connect)
                return 0;
        return asprintf(&config->socket, "%s/%s.sock", run_dir, config->name) < 0 ? -ENOMEM : 0;
}

static int load_device(const char *dir, const char *name, const char *run_dir, const struct log *log,
                       struct device_config *ret_device)
{
        struct device_config config;
        char path[PATH_BYTES], shown[NAME_MAX + 1];
        int r = config_init(&config, name), e;

        if (r < 0) {
                value_shown(name, shown, sizeof(shown));
                log_error(log, "%s/%s" SUFFIX ":1: the name of a device is up to %d letters, digits, '_', '.', '-'",
                          dir, shown, CONFIG_NAME_MAX);
                return r;
        }
        r = read_files(dir, &config, path, log);
        /* A key refused above is not missing as well. */
        e = r < 0 ? r : config_check(&config, &(struct config_place){ path, 1 }, log);
        if (e == 0)
                e = default_socket(&config, run_dir);
        if (e < 0)
                config_free(&config);
        else
                *ret_device = config;
        return e;
}

static const char *place_of(const struct device_config *device, enum config_key key)
{
        return device->where[key] ? device->where[key] : device->where[CONFIG_TYPE];
}

static bool same(const char *a, const char *b)
{
        return a && b && strcmp(a, b) == 0;
}

/* Two readers of one disk do no harm. */
static bool disk_shared(const struct config_block *a, const struct config_block *b)
{
        return same(a->path, b->path) && a->locking && b->locking &&
               !(a->read_only && b->read_only);
}

static int check_pair(const struct device_config *a, const struct device_config *b, const struct log *log)
{
        int r = 0;

        if (same(a->socket, b->socket)) {
                log_error(log, "%.180s: Socket= is also that of %.180s", place_of(b, CONFIG_SOCKET),
                          place_of(a, CONFIG_SOCKET));
                r = -EINVAL;
        }
        if (same(a->connect, b->connect)) {
                log_error(log, "%.180s: Connect= is also that of %.180s", place_of(b, CONFIG_CONNECT),
                          place_of(a, CONFIG_CONNECT));
                r = -EINVAL;
        }
        if (disk_shared(&a->block, &b->block)) {
                log_error(log, "%.160s: Path= is also that of %.160s (Locking=off would allow it)",
                          place_of(b, CONFIG_PATH), place_of(a, CONFIG_PATH));
                r = -EINVAL;
        }
        return r;
}

/* What no other device may share with the newest one. */
static int check_newest(const struct config *config, const struct log *log)
{
        int r = 0;

        for (unsigned i = 0; i < config->n; i++)
                if (check_pair(&config->device[i], &config->device[config->n], log) < 0)
                        r = -EINVAL;
        if (r < 0)
                config_free(&config->device[config->n]);
        return r;
}

/* A file whose name cannot be that of a device has no device. */
static int note_broken(struct config *config, const char *name)
{
        if (!config_name_ok(name))
                return 0;
        config->broken[config->n_broken] = strdup(name);
        if (!config->broken[config->n_broken])
                return -ENOMEM;
        config->n_broken++;
        return 0;
}

/* Loads what can be loaded, so that every error of every file is told; the first is returned. */
static int load_devices(const char *dir, struct dirent **names, int n, const char *run_dir, const struct log *log,
                        struct config *config)
{
        int r = 0, e;

        for (int i = 0; i < n; i++) {
                names[i]->d_name[strlen(names[i]->d_name) - strlen(SUFFIX)] = 0;
                e = load_device(dir, names[i]->d_name, run_dir, log, &config->device[config->n]);
                if (e == 0)
                        e = check_newest(config, log);
                if (e == 0)
                        config->n++;
                else if (note_broken(config, names[i]->d_name) < 0)
                        return -ENOMEM;
                r = r < 0 ? r : e;
        }
        return r;
}

static int load_all(const char *dir, const char *run_dir, const struct log *log, struct config *config)
{
        struct dirent **names;
        int n = scandir(dir, &names, is_conf, by_name), r;

        if (n < 0) {
                r = -errno;
                log_error(log, "%s: %s", dir, log_errno(r));
                return r;
        }
        config->device = calloc((size_t) n + 1, sizeof(*config->device));
        config->broken = calloc((size_t) n + 1, sizeof(*config->broken));
        r = config->device && config->broken ? load_devices(dir, names, n, run_dir, log, config) : -ENOMEM;
        free_names(names, n);
        if (n == 0) {
                log_error(log, "%s: no device is configured: there is no NAME" SUFFIX, dir);
                return -ENOENT;
        }
        return r;
}

static int load_one(const char *dir, const char *name, const char *run_dir, const struct log *log,
                    struct config *config)
{
        int r;

        config->device = calloc(1, sizeof(*config->device));
        if (!config->device)
                return -ENOMEM;
        r = load_device(dir, name, run_dir, log, &config->device[0]);
        config->n = r == 0;
        return r;
}

int config_load(const char *dir, const char *only, const char *run_dir, const struct log *log,
                struct config *ret_config)
{
        struct config config = { 0 };
        int r = only ? load_one(dir, only, run_dir, log, &config) : load_all(dir, run_dir, log, &config);

        if (r < 0)
                config_done(&config);
        else
                *ret_config = config;
        return r;
}

int config_load_sound(const char *dir, const char *run_dir, const struct log *log, struct config *ret_config)
{
        struct config config = { 0 };
        int r = load_all(dir, run_dir, log, &config);

        if (config.n == 0 || r == -ENOMEM) {
                config_done(&config);
                return r;
        }
        *ret_config = config;
        return 0;
}

void config_done(struct config *config)
{
        for (unsigned i = 0; i < config->n_broken; i++)
                free(config->broken[i]);
        free(config->broken);
        for (unsigned i = 0; i < config->n; i++)
                config_free(&config->device[i]);
        free(config->device);
        *config = (struct config){ 0 };
}
