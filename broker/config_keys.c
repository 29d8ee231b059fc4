/*
 * The keys of a device's config: one row each, with the function that bounds and stores its value.
 */
#include "config_keys.h"

#include "array.h"
#include "virtio.h"

#include <sys/un.h>

enum {
        LIMIT_MS_MOST = 3600 * 1000,
        LIMIT_PER_S_MOST = 1000000,
        LIMIT_REGIONS_LEAST = VU_TABLE_REGIONS_MAX, /* as many as come in one message */
        PATH_BYTES = 4095,
        VM_BYTES = 100,
        SOCKET_BYTES = sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1,
};

static int set_type(struct setting *s)
{
        const struct policy_device *type = config_type_of(s->value);

        if (!type)
                return value_refuse(&s->why, "there is no such type of device");
        s->config->type = type;
        return 0;
}

static int set_socket(struct setting *s)
{
        return value_path(s->value, s->relative_ok, SOCKET_BYTES, &s->config->socket, &s->why);
}

static int set_iommu(struct setting *s)
{
        return value_bool(s->value, &s->config->iommu, &s->why);
}

static int set_inband(struct setting *s)
{
        return value_bool(s->value, &s->config->inband, &s->why);
}

static int set_postcopy(struct setting *s)
{
        return value_bool(s->value, &s->config->postcopy, &s->why);
}

static int set_queue_size(struct setting *s)
{
        return value_number(s->value, 1, VRING_SIZE_MAX, &s->config->queue_size, &s->why);
}

static int set_connect(struct setting *s)
{
        return value_path(s->value, s->relative_ok, SOCKET_BYTES, &s->config->connect, &s->why);
}

static int set_allow_user(struct setting *s)
{
        return value_users(s->value, &s->config->allow_user, &s->config->n_allow_user, &s->why);
}

static int set_allow_group(struct setting *s)
{
        return value_groups(s->value, &s->config->allow_group, &s->config->n_allow_group, &s->why);
}

static int set_vm(struct setting *s)
{
        return value_path(s->value, true, VM_BYTES, &s->config->vm, &s->why);
}

static int set_path(struct setting *s)
{
        return value_path(s->value, s->relative_ok, PATH_BYTES, &s->config->block.path, &s->why);
}

static int set_read_only(struct setting *s)
{
        return value_bool(s->value, &s->config->block.read_only, &s->why);
}

static int set_serial(struct setting *s)
{
        return value_text(s->value, CONFIG_SERIAL_MAX, s->config->block.serial, &s->why);
}

static int set_block_size(struct setting *s)
{
        static const char *const sizes[] = { "512", "1024", "2048", "4096" };
        unsigned i;
        int r = value_choice(s->value, sizes, ARRAY_SIZE(sizes), &i, &s->why);

        if (r == 0)
                s->config->block.block_size = 512u << i;
        return r;
}

static int set_size(struct setting *s)
{
        return value_bytes(s->value, &s->config->block.size, &s->why);
}

static int set_queues(struct setting *s)
{
        return value_number(s->value, 1, CONFIG_QUEUES_MAX, &s->config->block.queues, &s->why);
}

static int set_cache(struct setting *s)
{
        static const char *const modes[] = { "writeback", "none" };
        unsigned i;
        int r = value_choice(s->value, modes, ARRAY_SIZE(modes), &i, &s->why);

        if (r == 0)
                s->config->block.direct = i == 1;
        return r;
}

static int set_discard(struct setting *s)
{
        return value_bool(s->value, &s->config->block.discard, &s->why);
}

static int set_locking(struct setting *s)
{
        return value_bool(s->value, &s->config->block.locking, &s->why);
}

static int set_engine(struct setting *s)
{
        static const char *const engines[IPC_ENGINES] = {
                [IPC_ENGINE_AUTO] = "auto",
                [IPC_ENGINE_URING] = "uring",
                [IPC_ENGINE_SYNC] = "sync",
                [IPC_ENGINE_NULL] = "null",
        };
        unsigned i;
        int r = value_choice(s->value, engines, IPC_ENGINES, &i, &s->why);

        if (r == 0)
                s->config->block.engine = (enum ipc_engine) i;
        return r;
}

static int set_threads(struct setting *s)
{
        return value_number(s->value, 1, CONFIG_THREADS_MAX, &s->config->worker.threads, &s->why);
}

static int set_poll(struct setting *s)
{
        return value_number(s->value, 0, CONFIG_POLL_MAX_US, &s->config->worker.poll_max_us, &s->why);
}

static int set_cpu_affinity(struct setting *s)
{
        int r = value_cpus(s->value, &s->config->worker.cpus, &s->why);

        if (r == 0)
                s->config->worker.pinned = true;
        return r;
}

/* In the order of the bits of enum ipc_layer. */
static int set_may_lack(struct setting *s)
{
        static const char *const layers[] = { "namespaces", "uids", "landlock", "mdwe" };

        static_assert(IPC_LAYER_NAMESPACES == 1 << 0 && IPC_LAYER_UIDS == 1 << 1, "order of layers");
        static_assert(IPC_LAYER_LANDLOCK == 1 << 2 && IPC_LAYER_MDWE == 1 << 3, "order of layers");
        return value_choices(s->value, layers, ARRAY_SIZE(layers), &s->config->may_lack, &s->why);
}

/* Milliseconds; 0: no limit. */
static int set_ms(struct setting *s, uint32_t *ms)
{
        return value_number(s->value, 0, LIMIT_MS_MOST, ms, &s->why);
}

static int set_setup(struct setting *s)
{
        return set_ms(s, &s->config->limits.session.setup_ms);
}

static int set_handshake(struct setting *s)
{
        return set_ms(s, &s->config->limits.session.handshake_ms);
}

static int set_partial(struct setting *s)
{
        return set_ms(s, &s->config->limits.session.partial_ms);
}

static int set_reply(struct setting *s)
{
        return set_ms(s, &s->config->limits.session.reply_ms);
}

static int set_hold(struct setting *s)
{
        return value_number(s->value, 1, LIMIT_MS_MOST, &s->config->limits.hold_ms, &s->why);
}

static int set_connections(struct setting *s)
{
        return value_number(s->value, 1, LIMIT_PER_S_MOST, &s->config->limits.connections_per_s, &s->why);
}

static int set_messages(struct setting *s)
{
        return value_number(s->value, 1, LIMIT_PER_S_MOST, &s->config->limits.session.messages_per_s, &s->why);
}

static int set_burst(struct setting *s)
{
        return value_number(s->value, 1, LIMIT_PER_S_MOST, &s->config->limits.session.messages_burst, &s->why);
}

static int set_regions(struct setting *s)
{
        return value_number(s->value, LIMIT_REGIONS_LEAST, VU_MEM_SLOTS, &s->config->limits.session.regions, &s->why);
}

static int set_memory(struct setting *s)
{
        return value_bytes(s->value, &s->config->limits.session.memory, &s->why);
}

static int set_log_lines(struct setting *s)
{
        return value_number(s->value, 1, 1000, &s->config->limits.session.log_per_s, &s->why);
}

const struct config_row config_rows[CONFIG_KEYS] = {
        [CONFIG_TYPE] = {"Device",   "Type",        set_type        },
        [CONFIG_SOCKET] = { "Device",  "Socket",      set_socket      },
        [CONFIG_IOMMU] = { "Device",    "Iommu",       set_iommu       },
        [CONFIG_INBAND] = { "Device",  "InbandNotifications", set_inband },
        [CONFIG_POSTCOPY] = { "Device",  "Postcopy",    set_postcopy    },
        [CONFIG_QUEUE_SIZE] = { "Device",  "QueueSize",   set_queue_size  },
        [CONFIG_CONNECT] = { "Device",  "Connect",     set_connect     },
        [CONFIG_ALLOW_USER] = { "Device",  "AllowUser",   set_allow_user  },
        [CONFIG_ALLOW_GROUP] = { "Device",  "AllowGroup",  set_allow_group },
        [CONFIG_VM] = { "Device",  "VM",          set_vm          },
        [CONFIG_PATH] = { "Block",   "Path",        set_path        },
        [CONFIG_READ_ONLY] = { "Block",   "ReadOnly",    set_read_only   },
        [CONFIG_SERIAL] = { "Block",   "Serial",      set_serial      },
        [CONFIG_BLOCK_SIZE] = { "Block",   "BlockSize",   set_block_size  },
        [CONFIG_SIZE] = { "Block",   "Size",        set_size        },
        [CONFIG_QUEUES] = { "Block",   "Queues",      set_queues      },
        [CONFIG_CACHE] = { "Block",   "Cache",       set_cache       },
        [CONFIG_DISCARD] = { "Block",   "Discard",     set_discard     },
        [CONFIG_LOCKING] = { "Block",   "Locking",     set_locking     },
        [CONFIG_ENGINE] = { "Block",   "Engine",      set_engine      },
        [CONFIG_THREADS] = { "Worker",  "Threads",     set_threads     },
        [CONFIG_POLL] = { "Worker",  "PollMaxUs",   set_poll        },
        [CONFIG_CPU_AFFINITY] = { "Worker",  "CPUAffinity", set_cpu_affinity},
        [CONFIG_MAY_LACK] = { "Sandbox", "MayLack",     set_may_lack    },
        [CONFIG_SETUP_MS] = { "Limits",  "SetupMs",     set_setup       },
        [CONFIG_HANDSHAKE_MS] = { "Limits",  "HandshakeMs", set_handshake   },
        [CONFIG_PARTIAL_MS] = { "Limits",  "PartialMessageMs", set_partial },
        [CONFIG_REPLY_MS] = { "Limits",  "ReplyMs",     set_reply       },
        [CONFIG_HOLD_MS] = { "Limits",  "HoldMs",      set_hold        },
        [CONFIG_CONNECTIONS] = { "Limits",  "ConnectionsPerSecond", set_connections },
        [CONFIG_MESSAGES] = { "Limits",  "MessagesPerSecond", set_messages },
        [CONFIG_BURST] = { "Limits",  "MessagesBurst", set_burst     },
        [CONFIG_REGIONS] = { "Limits",  "MemoryRegions", set_regions   },
        [CONFIG_MEMORY] = { "Limits",  "Memory",      set_memory      },
        [CONFIG_LOG_LINES] = { "Limits",  "LogLinesPerSecond", set_log_lines },
};
