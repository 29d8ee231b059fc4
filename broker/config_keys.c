/*
 * The keys of a device's config: one row each, with the function that bounds and stores its value.
 */
#include "config_keys.h"

#include "array.h"
#include "virtio.h"

#include <sys/un.h>

enum {
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

const struct config_row config_rows[CONFIG_KEYS] = {
        [CONFIG_TYPE] = {"Device",   "Type",        set_type        },
        [CONFIG_SOCKET] = { "Device",  "Socket",      set_socket      },
        [CONFIG_IOMMU] = { "Device",    "Iommu",       set_iommu       },
        [CONFIG_INBAND] = { "Device",  "InbandNotifications", set_inband },
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
};
