/*
 * vhostctl show: one device's config in force, who serves it, and what the worker says of its state.
 */
#include "ctl.h"

#include "claims.h"
#include "log.h"
#include "names.h"
#include "showing.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static void show_ids(struct showing *to, const char *key, const uint32_t *ids, uint32_t n)
{
        if (n == 0)
                return;
        if (to->as_json) {
                json_array(&to->json, key);
                for (uint32_t i = 0; i < n; i++)
                        json_number(&to->json, NULL, ids[i]);
                json_end(&to->json);
        } else {
                printf("%-22s", key);
                for (uint32_t i = 0; i < n; i++)
                        printf(" %" PRIu32, ids[i]);
                putchar('\n');
        }
}

static void show_cpus(struct showing *to, const struct control_device *said)
{
        uint32_t cpu[CONTROL_CPUS * 8];
        uint32_t n = 0;

        for (uint32_t i = 0; said->flags & CONTROL_PINNED && i < CONTROL_CPUS * 8; i++)
                if (said->cpus[i / 8] & 1u << i % 8) /* as cpu_set_t on little-endian machines */
                        cpu[n++] = i;
        show_ids(to, "cpu_affinity", cpu, n);
}

static void show_block(struct showing *to, const struct control_device *said)
{
        show_text(to, "engine_wanted", name_of_engine(said->engine_wanted));
        show_bool(to, "read_only", said->flags & CONTROL_READ_ONLY);
        show_text(to, "cache", said->flags & CONTROL_DIRECT ? "none" : "writeback");
        show_bool(to, "discard", said->flags & CONTROL_DISCARD);
        show_bool(to, "locking", said->flags & CONTROL_LOCKING);
        show_text(to, "disk", !(said->flags & CONTROL_HAS_DISK)      ? "none"
                              : said->flags & CONTROL_BLOCK_DEVICE ? "block device"
                                                                   : "file");
        show_number(to, "capacity", said->capacity);
        show_number(to, "block_size", said->block_size);
        show_number(to, "physical_size", said->physical_size);
        if (said->flags & CONTROL_DIRECT) {
                show_number(to, "direct_memory", said->direct_memory);
                show_number(to, "direct_offset", said->direct_offset);
        }
        show_text(to, "serial", said->serial);
}

static int show_places(struct showing *to, struct brokers *brokers, const struct known_device *device)
{
        static const char *const keys[CONTROL_TEXTS] = {
                [CONTROL_PATH] = "path", [CONTROL_SOCKET] = "socket", [CONTROL_CONNECT] = "connect"
        };
        char text[BROKERS_TEXT_MOST];

        for (unsigned i = 0; i < CONTROL_TEXTS; i++) {
                int r = brokers_text(brokers, device, i, text, sizeof(text));

                if (r < 0)
                        return r;
                show_text(to, keys[i], text);
        }
        return 0;
}

static int show_allowed(struct showing *to, struct brokers *brokers, const struct known_device *device)
{
        struct control_allowed allowed;
        int r = brokers_allowed(brokers, device, &allowed);

        if (r < 0)
                return r;
        show_ids(to, "allow_user", allowed.user, allowed.users);
        show_ids(to, "allow_group", allowed.group, allowed.groups);
        return 0;
}

/* As in [Limits]; of times, 0 is without end. */
static int show_limits(struct showing *to, struct brokers *brokers, const struct known_device *device)
{
        struct control_limits limits;
        int r = brokers_limits(brokers, device, &limits);

        if (r < 0)
                return r;
        if (to->as_json)
                json_object(&to->json, "limits");
        show_number(to, "setup_ms", limits.session.setup_ms);
        show_number(to, "handshake_ms", limits.session.handshake_ms);
        show_number(to, "partial_message_ms", limits.session.partial_ms);
        show_number(to, "reply_ms", limits.session.reply_ms);
        show_number(to, "hold_ms", limits.hold_ms);
        show_number(to, "connections_per_second", limits.connections_per_s);
        show_number(to, "messages_per_second", limits.session.messages_per_s);
        show_number(to, "messages_burst", limits.session.messages_burst);
        show_number(to, "memory_regions", limits.session.regions);
        show_number(to, "memory", limits.session.memory);
        show_number(to, "log_lines_per_second", limits.session.log_per_s);
        if (to->as_json)
                json_end(&to->json);
        return 0;
}

static void show_processes(struct showing *to, const struct known_device *device)
{
        const struct control_device *said = &device->said;
        char text[64];

        show_number(to, "broker_pid", (uint64_t) device->broker->said.pid);
        if (said->session)
                show_number(to, "session", said->session);
        if (said->pid[CONTROL_SESSION]) {
                show_number(to, "session_pid", (uint64_t) said->pid[CONTROL_SESSION]);
                show_number(to, "session_id", said->host_id[CONTROL_SESSION]);
        }
        if (said->pid[CONTROL_WORKER]) {
                show_number(to, "worker_pid", (uint64_t) said->pid[CONTROL_WORKER]);
                show_number(to, "worker_id", said->host_id[CONTROL_WORKER]);
        }
        if (said->engine)
                show_text(to, "engine", name_of_engine(said->engine));
        show_bool(to, "connection_waits", said->flags & CONTROL_WAITED_FOR);
        names_of_layers(said->lacks, text, sizeof(text));
        show_text(to, "missing", text);
        names_of_layers(said->may_lack, text, sizeof(text));
        show_text(to, "may_be_missing", text);
}

static int show_device(struct showing *to, struct brokers *brokers, const struct known_device *device)
{
        const struct control_device *said = &device->said;
        int r;

        show_text(to, "name", said->name);
        show_text(to, "state", name_of_state(said->state));
        if (said->state == CONTROL_DOWN)
                return 0;
        show_text(to, "type", name_of_type(said->type));
        show_text(to, "vm", said->vm);
        r = show_places(to, brokers, device);
        if (r == 0)
                r = show_allowed(to, brokers, device);
        show_bool(to, "iommu", said->flags & CONTROL_IOMMU);
        show_bool(to, "postcopy", said->flags & CONTROL_POSTCOPY);
        show_number(to, "queues", said->queues);
        show_number(to, "queue_size", said->queue_size);
        show_number(to, "threads", said->threads);
        show_number(to, "poll_max_us", said->poll_max_us);
        show_cpus(to, said);
        show_bits(to, "features", said->offered);
        show_bits(to, "protocol_features", said->protocol_offered);
        if (said->capacity)
                show_block(to, said);
        if (r == 0)
                r = show_limits(to, brokers, device);
        show_processes(to, device);
        return r < 0 ? r : show_claims(to, brokers, device);
}

enum ctl_exit ctl_show(const struct ctl *ctl, struct brokers *brokers)
{
        struct showing to = { .as_json = ctl->json, .json = { .out = stdout } };
        int r = 0;

        if (ctl->json)
                json_array(&to.json, NULL);
        for (size_t i = 0; r == 0 && i < brokers->n_devices; i++) {
                if (strcmp(brokers->device[i].said.name, ctl->device) != 0)
                        continue;
                if (ctl->json)
                        json_object(&to.json, NULL);
                r = show_device(&to, brokers, &brokers->device[i]);
                if (ctl->json)
                        json_end(&to.json);
        }
        if (ctl->json)
                json_end(&to.json);
        if (r < 0)
                fprintf(stderr, "vhostctl: %s: %s\n", ctl->device, log_errno(r));
        return r < 0 ? CTL_FAILED : CTL_OK;
}
