/*
 * The config of one device: defaults, the one setter, and what only the whole can tell.
 */
#include "config_keys.h"

#include "array.h"
#include "virtio.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        DEFAULT_QUEUES = 4,
        DEFAULT_POLL_US = 32,
        DEFAULT_QUEUE_SIZE = 1024, /* what QEMU allows at most */
};

static const struct config_limits default_limits = {
        .session = { .setup_ms = 30000, .handshake_ms = 5000, .partial_ms = 1000, .reply_ms = 5000,
                     .messages_per_s = 1000, .messages_burst = 4000, .regions = VU_MEM_SLOTS, .log_per_s = 10,
                     .memory = UINT64_C(4) << 40 },
        .hold_ms = 5000,
        .connections_per_s = 100,
};

bool config_name_ok(const char *name)
{
        size_t length = strlen(name);

        if (length > CONFIG_NAME_MAX || !isalnum((unsigned char) name[0]))
                return false;
        for (size_t i = 0; i < length; i++)
                if (!isalnum((unsigned char) name[i]) && !strchr("_.-", name[i]))
                        return false;
        return true;
}

const struct policy_device *config_type_of(const char *type)
{
        for (size_t i = 0; i < policy_n_devices; i++)
                if (strcmp(policy_devices[i]->type, type) == 0)
                        return policy_devices[i];
        return NULL;
}

int config_init(struct device_config *config, const char *name)
{
        if (!config_name_ok(name))
                return -EINVAL;
        *config = (struct device_config){
                .name = strdup(name),
                .block = {.queues = DEFAULT_QUEUES, .discard = true, .locking = true },
                .worker = { .threads = 1,                       .poll_max_us = DEFAULT_POLL_US                         },
                .queue_size = DEFAULT_QUEUE_SIZE,
                .limits = default_limits,
                .layer = 1,
        };
        return config->name ? 0 : -ENOMEM;
}

void config_free(struct device_config *config)
{
        free(config->name);
        free(config->socket);
        free(config->connect);
        free(config->allow_user);
        free(config->allow_group);
        free(config->vm);
        free(config->block.path);
        for (unsigned i = 0; i < CONFIG_KEYS; i++)
                free(config->where[i]);
        *config = (struct device_config){ 0 };
}

/* One key as the operator wrote it. */
struct assignment {
        const struct config_place *place;
        const char *key, *value;
};

/* "FILE:LINE: KEY=VALUE: ..." or "OPTION: ..."; what is long is cut, so that the reason fits. */
static void complain(const struct log *log, const struct assignment *a, const char *why)
{
        const struct config_place *place = a->place;
        char key[41], value[61], option[121];

        value_shown(a->key, key, sizeof(key));
        value_shown(a->value, value, sizeof(value));
        value_shown(place->text, option, sizeof(option));
        if (place->line)
                log_error(log, "%s:%u: %s=%s: %s", place->text, place->line, key, value, why);
        else
                log_error(log, "%s: %s", option, why);
}

bool config_section_ok(const char *section)
{
        for (unsigned i = 0; i < CONFIG_KEYS; i++)
                if (strcasecmp(config_rows[i].section, section) == 0)
                        return true;
        return false;
}

static int key_of(const char *section, const char *key, struct value_why *why)
{
        char shown[41];

        for (unsigned i = 0; i < CONFIG_KEYS; i++)
                if (strcasecmp(config_rows[i].section, section) == 0 && strcasecmp(config_rows[i].key, key) == 0)
                        return (int) i;
        if (config_section_ok(section))
                return value_refuse(why, "there is no such key in [%.40s]", section);
        value_shown(section, shown, sizeof(shown));
        return value_refuse(why, "there is no section [%s]", shown);
}

static int note_place(struct device_config *config, unsigned key, const struct config_place *place)
{
        char *where;
        int length =
                place->line ? asprintf(&where, "%s:%u", place->text, place->line) : asprintf(&where, "%s", place->text);

        if (length < 0)
                return -ENOMEM;
        free(config->where[key]);
        config->where[key] = where;
        config->layer_of[key] = config->layer;
        return 0;
}

static int set_row(struct device_config *config, unsigned key, const struct assignment *a, struct value_why *why)
{
        struct setting setting = { .config = config, .value = a->value, .relative_ok = a->place->line == 0 };
        int r;

        if (config->layer_of[key] == config->layer) {
                value_refuse(why, "%s= was already set by %.200s", config_rows[key].key, config->where[key]);
                return -EEXIST;
        }
        if (!a->value[0])
                return value_refuse(why, "needs a value");
        if (value_has_control(a->value))
                return value_refuse(why, "must not contain control characters");
        r = config_rows[key].set(&setting);
        if (r < 0) {
                *why = setting.why;
                return r;
        }
        return note_place(config, key, a->place);
}

int config_set(struct device_config *config, const struct config_place *place, const char *section, const char *key,
               const char *value, const struct log *log)
{
        struct assignment a = { place, key, value };
        struct value_why why = { "out of memory" };
        int row = key_of(section, key, &why);
        int r = row < 0 ? row : set_row(config, (unsigned) row, &a, &why);

        if (r < 0)
                complain(log, &a, why.text);
        return r;
}

/* --- the whole ------------------------------------------------------------------------------------------------- */

/* Logs one line that begins where the key was set, and counts it. */
static void __attribute__((format(printf, 5, 6)))
object(const struct device_config *config, enum config_key key, const struct log *log, unsigned *errors,
       const char *format, ...)
{
        struct value_why why;
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(why.text, sizeof(why.text), format, arguments);
        va_end(arguments);
        log_error(log, "%.230s: %s", config->where[key], why.text);
        (*errors)++;
}

static void check_block_size(const struct device_config *config, const struct log *log, unsigned *errors)
{
        const struct config_block *block = &config->block;
        uint32_t block_size = block->block_size ? block->block_size : VIRTIO_BLK_SECTOR;

        if (block->size % block_size)
                object(config, CONFIG_SIZE, log, errors, "Size= must be a multiple of the block size, %u", block_size);
}

static void check_block(const struct device_config *config, const struct log *log, unsigned *errors)
{
        const struct config_block *block = &config->block;
        bool null = block->engine == IPC_ENGINE_NULL;

        if (null && !block->size)
                object(config, CONFIG_ENGINE, log, errors, "Engine=null needs Size= in [Block]");
        if (null && block->path)
                object(config, CONFIG_PATH, log, errors, "Path= has no meaning for Engine=null");
        if (!null && !block->path)
                object(config, CONFIG_TYPE, log, errors, "Type=block needs Path= in [Block]");
        if (!null && block->size)
                object(config, CONFIG_SIZE, log, errors, "Size= is for Engine=null only");
        if (block->queues > config->type->queues_max)
                object(config, CONFIG_QUEUES, log, errors, "Queues= must be at most %u", config->type->queues_max);
        check_block_size(config, log, errors);
}

/* Keys of [Block] mean nothing to other devices. */
static void check_no_block(const struct device_config *config, const struct log *log, unsigned *errors)
{
        for (unsigned i = 0; i < CONFIG_KEYS; i++)
                if (config->where[i] && strcmp(config_rows[i].section, "Block") == 0)
                        object(config, i, log, errors, "%s= has no meaning for Type=%s", config_rows[i].key,
                               config->type->type);
}

int config_check(const struct device_config *config, const struct config_place *place, const struct log *log)
{
        struct assignment missing = { place, "Type", "" };
        unsigned errors = 0;

        if (!config->type) {
                complain(log, &missing, "is missing in [Device]");
                return -EINVAL;
        }
        if (config->socket && config->connect)
                object(config, CONFIG_CONNECT, log, &errors, "Connect= and Socket= exclude each other");
        if (config->type->id == VIRTIO_ID_BLOCK)
                check_block(config, log, &errors);
        else
                check_no_block(config, log, &errors);
        return errors ? -EINVAL : 0;
}
