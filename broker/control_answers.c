/*
 * Answers to vhostctl. Nothing is allocated, nothing waits, and of a question only numbers are read.
 */
#include "control_answers.h"

#include "array.h"
#include "device.h"
#include "down.h"
#include "host.h"
#include "statistics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static_assert((int) CONTROL_NAME > (int) CONFIG_NAME_MAX, "a name fits");
static_assert((int) CONTROL_ALLOWED == (int) CONFIG_ALLOW_MAX, "a list of users fits");
static_assert((size_t) CONTROL_CPUS == sizeof(cpu_set_t), "a set of processors fits");
static_assert((int) CONTROL_CHILDREN == (int) SERVING_CHILDREN, "session and worker");

/* Where each child stands in answers. */
static const unsigned child_of[CONTROL_CHILDREN] = { [CONTROL_SESSION] = SERVING_SESSION,
                                                     [CONTROL_WORKER] = SERVING_WORKER };

static void fill_broker(const struct host *host, struct control_broker *broker)
{
        *broker = (struct control_broker){
                .version = CONTROL_VERSION,
                .pid = getpid(),
                .devices = host->n_devices + host->n_down,
                .stopping = host->stopping,
                .own_uid = host->privilege.own_uid,
                .id_first = host->privilege.first,
                .id_count = host->privilege.count,
                .lacks = host->privilege.lacks,
                .release = VB_VERSION,
        };
}

static enum control_state state_of(const struct serving *serving)
{
        switch (serving->state) {
        case SERVING_STARTING:
                return CONTROL_STARTING;
        case SERVING_UP:
                return serving->ready ? CONTROL_SERVING : CONTROL_STARTING;
        case SERVING_ENDING:
                return CONTROL_ENDING;
        case SERVING_DRAINING:
                return CONTROL_DRAINING;
        default:
                return CONTROL_IDLE;
        }
}

static uint32_t flags_of(const struct device *device)
{
        const struct device_config *config = device->config;
        bool disk = fd_has(&device->resource.disk);

        return (config->block.read_only ? CONTROL_READ_ONLY : 0) | (config->block.direct ? CONTROL_DIRECT : 0) |
               (device->resource.block.discard ? CONTROL_DISCARD : 0) |
               (config->block.locking ? CONTROL_LOCKING : 0) | (config->iommu ? CONTROL_IOMMU : 0) |
               (config->postcopy ? CONTROL_POSTCOPY : 0) |
               (config->worker.pinned ? CONTROL_PINNED : 0) | (disk ? CONTROL_HAS_DISK : 0) |
               (disk && !device->resource.bytes ? CONTROL_BLOCK_DEVICE : 0) |
               (config->connect ? CONTROL_CONNECTS : 0) | (fd_has(&device->held) ? CONTROL_WAITED_FOR : 0) |
               (config->n_allow_user + config->n_allow_group ? 0 : CONTROL_ANY_USER);
}

static void fill_children(const struct device *device, struct control_device *to)
{
        for (unsigned i = 0; i < CONTROL_CHILDREN; i++) {
                const struct serving_child *child = &device->serving.child[child_of[i]];

                if (!fd_has(&child->pidfd))
                        continue;
                to->pid[i] = child->pid;
                to->host_id[i] = device->host->privilege.first + child->slot;
        }
}

static void fill_block(const struct device *device, struct control_device *to)
{
        const struct ipc_block *block = &device->resource.block;

        to->block_size = block->block_size;
        to->physical_size = block->physical_size;
        to->optimal_io = block->optimal_io;
        to->direct_memory = block->direct_memory;
        to->direct_offset = block->direct_offset;
        to->capacity = block->capacity;
        to->file = device->resource.bytes;
        memcpy(to->serial, block->serial, sizeof(block->serial));
}

static void fill_device(const struct device *device, uint32_t index, struct control_device *to)
{
        const struct device_config *config = device->config;
        const struct serving *serving = &device->serving;

        *to = (struct control_device){
                .index = index,
                .type = config->type->id,
                .state = state_of(serving),
                .flags = flags_of(device),
                .session = serving->id,
                .may_lack = config->may_lack,
                .lacks = serving->ready ? serving->said.lacks | device->host->privilege.lacks : 0,
                .engine_wanted = config->block.engine,
                .engine = serving->ready ? serving->said.engine : IPC_ENGINE_AUTO,
                .queues = serving_queues(config),
                .threads = config->worker.threads,
                .poll_max_us = config->worker.poll_max_us,
                .offered = serving_offered(config),
                .protocol_offered = serving_protocol_offered(config),
                .queue_size = config->queue_size,
        };
        snprintf(to->name, sizeof(to->name), "%s", config->name);
        snprintf(to->vm, sizeof(to->vm), "%s", config->vm ? config->vm : "");
        memcpy(to->cpus, &config->worker.cpus, sizeof(to->cpus));
        fill_children(device, to);
        fill_block(device, to);
}

static void fill_allowed(const struct device_config *config, struct control_allowed *to)
{
        *to = (struct control_allowed){ .users = config->n_allow_user, .groups = config->n_allow_group };
        for (unsigned i = 0; i < config->n_allow_user; i++)
                to->user[i] = config->allow_user[i];
        for (unsigned i = 0; i < config->n_allow_group; i++)
                to->group[i] = config->allow_group[i];
}

static void fill_limits(const struct config_limits *limits, struct control_limits *to)
{
        *to = (struct control_limits){ .session = limits->session,
                                       .hold_ms = limits->hold_ms,
                                       .connections_per_s = limits->connections_per_s };
}

static int fill_text(const struct device_config *config, const struct control_ask_text *ask,
                     struct control_text_part *to)
{
        const char *const texts[CONTROL_TEXTS] = {
                [CONTROL_PATH] = config->block.path,
                [CONTROL_SOCKET] = config->socket,
                [CONTROL_CONNECT] = config->connect,
        };
        const char *text;

        if (ask->which >= CONTROL_TEXTS)
                return -EINVAL;
        text = texts[ask->which] ? texts[ask->which] : "";
        *to = (struct control_text_part){ .total = (uint32_t) strlen(text) };
        if (ask->offset > to->total)
                return -EINVAL;
        to->n = to->total - ask->offset < CONTROL_TEXT ? to->total - ask->offset : CONTROL_TEXT;
        memcpy(to->text, text + ask->offset, to->n);
        return 0;
}

static int fill_stats(const struct device *device, const struct control_ask_stats *ask, struct control_stats_part *to)
{
        uint64_t words[CONTROL_STATS_PARTS * CONTROL_WORDS] = { 0 };
        struct stats_page page;
        int r;

        if (ask->part >= CONTROL_STATS_PARTS)
                return -EINVAL;
        r = statistics_read(device->statistics.num, device->config->worker.threads, ask->loop, &page);
        if (r < 0)
                return r;
        memcpy(words, &page, sizeof(page));
        memcpy(to->word, words + (size_t) ask->part * CONTROL_WORDS, sizeof(to->word));
        return 0;
}

/* After the devices come those that are down. */
static int answer_down(const struct host *host, const struct control_ask_text *ask, unsigned type,
                       struct packet *answer)
{
        struct control_device *to = (struct control_device *) answer->body;

        if (ask->index - host->n_devices >= host->n_down || type != CONTROL_ASK_DEVICE)
                return -ENOENT;
        *to = (struct control_device){ .index = ask->index, .state = CONTROL_DOWN };
        snprintf(to->name, sizeof(to->name), "%s", host->down[ask->index - host->n_devices].name);
        return 0;
}

/* Every question but the first kind begins with the device's index. */
static int answer_device(const struct host *host, const struct packet *question, struct packet *answer)
{
        struct control_ask_text ask = { 0 };
        const struct device *device;

        memcpy(&ask, question->body, question->header.length < sizeof(ask) ? question->header.length : sizeof(ask));
        if (ask.index >= host->n_devices)
                return answer_down(host, &ask, question->header.type, answer);
        device = &host->device[ask.index];
        switch (question->header.type) {
        case CONTROL_ASK_DEVICE:
                fill_device(device, ask.index, (struct control_device *) answer->body);
                return 0;
        case CONTROL_ASK_ALLOWED:
                fill_allowed(device->config, (struct control_allowed *) answer->body);
                return 0;
        case CONTROL_ASK_LIMITS:
                fill_limits(&device->config->limits, (struct control_limits *) answer->body);
                return 0;
        case CONTROL_ASK_STATS:
                return fill_stats(device, (const struct control_ask_stats *) question->body,
                                  (struct control_stats_part *) answer->body);
        default:
                return fill_text(device->config, &ask, (struct control_text_part *) answer->body);
        }
}

int control_answer(const struct host *host, const struct packet *question, struct packet *ret_answer)
{
        int r = control_check(question, false);

        if (r < 0)
                return r;
        ret_answer->n_fds = 0;
        ret_answer->header = (struct packet_header){ .type = control_answer_to(question->header.type),
                                                     .sequence = question->header.sequence };
        if (question->header.type == CONTROL_ASK_BROKER)
                fill_broker(host, (struct control_broker *) ret_answer->body);
        else
                r = answer_device(host, question, ret_answer);
        if (r < 0) {
                ret_answer->header.type = CONTROL_REFUSED;
                *(struct control_refused *) ret_answer->body = (struct control_refused){ .error = r };
        }
        ret_answer->header.length = control_length_of(ret_answer->header.type);
        return 0;
}
