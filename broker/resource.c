/*
 * Disks. The path is the operator's; what lies there may be anything, so it is judged before and after it is opened:
 * opening alone makes a fifo wait, and some character devices act.
 */
#include "resource.h"

#include "clock_now.h"
#include "image_lock.h"
#include "resource_probe.h"
#include "virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_RETRY_MS = 20 };

/* What a failure is said with. */
struct report {
        const struct log *log;
        const char *where; /* a line of a file, or an option; "": unknown */
        const char *path;
};

/* An option that ends with the path has named it already. */
static bool names_path(const struct report *report)
{
        size_t where = strlen(report->where), path = strlen(report->path);

        return where >= path && strcmp(report->where + where - path, report->path) == 0;
}

/* One line: "WHERE: PATH: why". */
static int __attribute__((format(printf, 3, 4))) fail(const struct report *report, int error, const char *format, ...)
{
        char why[160];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(why, sizeof(why), format, arguments);
        va_end(arguments);
        if (names_path(report))
                log_error(report->log, "%.230s: %s", report->where, why);
        else
                log_error(report->log, "%.110s%s%.110s: %s", report->where, report->where[0] ? ": " : "", report->path,
                          why);
        return error;
}

static const char *kind_of(mode_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFDIR:
                return "a directory";
        case S_IFIFO:
                return "a fifo";
        case S_IFSOCK:
                return "a socket";
        case S_IFCHR:
                return "a character device";
        default:
                return "something else";
        }
}

static int judge_kind(const struct report *report, const struct stat *st)
{
        if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
                return 0;
        return fail(report, -EINVAL, "is %s; a disk is a regular file or a block device", kind_of(st->st_mode));
}

static int open_failed(const struct report *report, const struct config_block *config, int error)
{
        if (error == -EINVAL && config->direct)
                return fail(report, error, "this file system refuses O_DIRECT; use Cache=writeback");
        return fail(report, error, "can't be opened for %s: %s", config->read_only ? "reading" : "reading and writing",
                    log_errno(error));
}

/* O_NONBLOCK in case that a fifo took the file's place after stat(). */
static int open_disk(const struct report *report, const struct config_block *config, struct fd *ret_disk,
                     struct stat *ret_st)
{
        int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        AUTO_FD disk = FD_NONE;
        int r;

        if (stat(config->path, ret_st) < 0)
                return fail(report, -errno, "%s", log_errno(errno));
        r = judge_kind(report, ret_st);
        if (r < 0)
                return r;
        flags |= config->read_only ? O_RDONLY : O_RDWR;
        disk.num = open(config->path, flags | (config->direct ? O_DIRECT : 0));
        if (disk.num < 0)
                return open_failed(report, config, -errno);
        if (fstat(disk.num, ret_st) < 0)
                return fail(report, -errno, "%s", log_errno(errno));
        r = judge_kind(report, ret_st);
        if (r == 0)
                r = fd_nonblock(disk.num, false);
        if (r == 0)
                *ret_disk = fd_take(&disk);
        return r;
}

/* A broker that was killed leaves its locks until the kernel has ended the last I/O of its workers: be patient. */
static int lock_patiently(int disk, bool writes, long long until, const char **ret_conflict)
{
        int r = image_lock(disk, writes, ret_conflict);

        while (r == -EBUSY && clock_now_ns() < until) {
                poll(NULL, 0, LOCK_RETRY_MS);
                r = image_lock(disk, writes, ret_conflict);
        }
        return r;
}

static int lock_disk(const struct report *report, const struct config_block *config, long long until, int disk)
{
        const char *conflict = "";
        int r;

        if (!config->locking)
                return 0;
        r = lock_patiently(disk, !config->read_only, until, &conflict);
        if (r == -EBUSY)
                return fail(report, r, "can't be used for %s: %s (Locking=off would not care)",
                            config->read_only ? "reading" : "writing", conflict);
        if (r < 0)
                return fail(report, r, "can't be locked: %s; Locking=off does without", log_errno(r));
        return 0;
}

/* The block size that the guest will see, and what depends on it. */
static int fit_block_size(const struct report *report, const struct config_block *config, const struct probe *probe,
                          struct ipc_block *block)
{
        uint32_t size = config->block_size ? config->block_size : probe->logical;

        if (size > PROBE_BLOCK_MAX)
                size = PROBE_BLOCK_MAX;
        if (size < block->direct_offset)
                return fail(report, -EINVAL, "Cache=none needs BlockSize=%u or more here, not %u", block->direct_offset,
                            size);
        block->block_size = size;
        block->physical_size = probe->physical > size ? probe->physical : size;
        block->optimal_io = probe->optimal - probe->optimal % size;
        block->capacity = probe->bytes - probe->bytes % size;
        if (block->capacity == 0)
                return fail(report, -EINVAL, "is empty: a disk has at least one block of %u bytes", size);
        return 0;
}

static int probe_disk(const struct report *report, const struct config_block *config, int disk, const struct stat *st,
                      struct ipc_block *block)
{
        struct probe probe;
        int r = probe_geometry(disk, st, &probe);

        if (r < 0)
                return fail(report, r, "its size can't be found out: %s", log_errno(r));
        if (config->direct) {
                r = probe_direct(disk, &probe, &block->direct_memory, &block->direct_offset);
                if (r < 0)
                        return fail(report, r, "direct I/O is not possible here; use Cache=writeback");
        }
        block->read_only = config->read_only;
        block->block_device = S_ISBLK(st->st_mode);
        block->discard = config->discard && !config->read_only && probe_discard(disk, st);
        return fit_block_size(report, config, &probe, block);
}

static int open_block(const struct report *report, const struct config_block *config, long long until,
                      struct resource *resource)
{
        AUTO_FD disk = FD_NONE;
        struct stat st;
        int r = open_disk(report, config, &disk, &st);

        if (r == 0)
                r = lock_disk(report, config, until, disk.num);
        if (r == 0)
                r = probe_disk(report, config, disk.num, &st, &resource->block);
        if (r == 0)
                resource->flags = fcntl(disk.num, F_GETFL);
        if (r == 0 && resource->flags < 0)
                r = -errno;
        resource->bytes = S_ISREG(st.st_mode) ? (uint64_t) st.st_size : 0;
        if (r == 0)
                resource->disk = fd_take(&disk);
        return r;
}

/* A disk without anything behind it; config_check() has seen to its size. */
static void null_block(const struct config_block *config, struct ipc_block *block)
{
        block->block_size = config->block_size ? config->block_size : VIRTIO_BLK_SECTOR;
        block->physical_size = block->block_size;
        block->capacity = config->size;
        block->read_only = config->read_only;
        block->discard = config->discard && !config->read_only;
}

/* The kernel lets only who can open this file see the faults of kernel code, and ours are such. */
static int open_userfault(const struct device_config *config, const struct log *log, struct fd *ret_userfault)
{
        static const char path[] = "/dev/userfaultfd";
        const char *where = config->where[CONFIG_POSTCOPY];
        const struct report report = { log, where ? where : "", path };
        struct fd userfault = { open(path, O_RDWR | O_CLOEXEC) };

        if (!fd_has(&userfault))
                return fail(&report, -errno, "Postcopy=yes needs to open it: %s%s", log_errno(errno),
                            errno == ENOENT ? " (Linux 6.1 and later have it)" : "");
        *ret_userfault = userfault;
        return 0;
}

int resource_open(const struct device_config *config, const struct log *log, long long until,
                  struct resource *ret_resource)
{
        struct resource resource = { .disk = FD_NONE, .userfault = FD_NONE };
        const char *where = config->where[CONFIG_PATH];
        const struct report report = { log, where ? where : "", config->block.path };
        struct ipc_block *block = &resource.block;
        int r = 0;

        if (config->type->id == VIRTIO_ID_BLOCK) {
                block->engine = config->block.engine;
                static_assert(sizeof(block->serial) > sizeof(config->block.serial), "room for the serial");
                memcpy(block->serial, config->block.serial, sizeof(config->block.serial));
                if (config->block.engine == IPC_ENGINE_NULL)
                        null_block(&config->block, block);
                else
                        r = open_block(&report, &config->block, until, &resource);
        }
        if (r == 0 && config->postcopy)
                r = open_userfault(config, log, &resource.userfault);
        if (r == 0)
                *ret_resource = resource;
        else
                resource_done(&resource);
        return r;
}

/* The end of the open file is its size, for a block device too; workers never use its position. */
int resource_measure(struct resource *resource)
{
        struct ipc_block *block = &resource->block;
        uint64_t capacity;
        off_t bytes;

        if (!fd_has(&resource->disk))
                return 0;
        bytes = lseek(resource->disk.num, 0, SEEK_END);
        if (bytes < 0)
                return -errno;
        capacity = (uint64_t) bytes - (uint64_t) bytes % block->block_size;
        if (capacity == 0)
                return -EINVAL;
        resource->bytes = block->block_device ? 0 : (uint64_t) bytes;
        if (capacity == block->capacity)
                return 0;
        block->capacity = capacity;
        return 1;
}

void resource_done(struct resource *resource)
{
        fd_close(&resource->disk);
        fd_close(&resource->userfault);
}
