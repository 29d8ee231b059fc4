/*
 * The input is a device file, and drop-ins behind it, each after a byte 0xff. What the parser takes must be within the
 * bounds that the rest of the broker relies on, and what it says must be printable.
 */
#include "config.h"
#include "config_ini.h"
#include "config_value.h"

#include "virtio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LAYERS_MOST = 4, SEPARATOR = 0xff };

#define MUST(condition)                                                                                              \
        do {                                                                                                         \
                if (!(condition)) {                                                                                  \
                        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                      \
                        abort();                                                                                     \
                }                                                                                                    \
        } while (0)

static void hear(void *context, enum log_level level, const char *text)
{
        (void) level;
        MUST(text[0] && !value_has_control(text));
        ++*(unsigned *) context;
}

static void check_block(const struct config_block *block, const struct policy_device *type)
{
        MUST(block->queues >= 1 && block->queues <= type->queues_max);
        MUST(block->block_size == 0 || (block->block_size >= 512 && block->block_size <= 4096));
        MUST(!(block->block_size & (block->block_size - 1)));
        MUST(block->engine < IPC_ENGINES);
        MUST(block->engine == IPC_ENGINE_NULL ? block->size && !block->path : !block->size && block->path);
        MUST(block->size <= INT64_MAX);
        MUST(strnlen(block->serial, sizeof(block->serial)) < sizeof(block->serial));
}

static void check(const struct device_config *config)
{
        MUST(config->type);
        MUST(config->worker.threads >= 1 && config->worker.threads <= 64);
        MUST(!config->worker.pinned || CPU_COUNT(&config->worker.cpus) > 0);
        MUST(!config->socket || config->socket[0] == '/');
        MUST(!(config->socket && config->connect));
        if (config->type->id == VIRTIO_ID_BLOCK)
                check_block(&config->block, config->type);
}

static int read_layer(struct device_config *config, const uint8_t *data, size_t size, const struct log *log)
{
        char path[64];
        int file = memfd_create("layer", MFD_CLOEXEC), r;

        MUST(file >= 0 && write(file, data, size) == (ssize_t) size);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
        r = config_ini_read(path, config, log);
        close(file);
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        unsigned lines = 0;
        const struct log log = { .sink = hear, .context = &lines, .most = LOG_LEVEL_DEBUG };
        struct device_config config;
        int r = 0;

        MUST(config_init(&config, "fuzz") == 0);
        for (unsigned layer = 0; layer < LAYERS_MOST; layer++) {
                const uint8_t *end = memchr(data, SEPARATOR, size);
                size_t n = end ? (size_t) (end - data) : size;

                if (read_layer(&config, data, n, &log) < 0)
                        r = -1;
                if (!end)
                        break;
                data += n + 1;
                size -= n + 1;
        }
        if (config_check(&config, &(struct config_place){ "fuzz", 1 }, &log) < 0)
                r = -1;
        MUST((r < 0) == (lines > 0));
        if (r == 0)
                check(&config);
        config_free(&config);
        return 0;
}
