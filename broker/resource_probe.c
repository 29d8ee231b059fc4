/*
 * Questions to the kernel about an open disk; its content is never read.
 */
#include "resource_probe.h"

#include "virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

static bool power_of_two(uint32_t n)
{
        return n && (n & (n - 1)) == 0;
}

/* A file has no sectors; its file system's block is what it likes to write whole. */
static void probe_file(const struct stat *st, struct probe *probe)
{
        probe->bytes = (uint64_t) st->st_size;
        probe->logical = VIRTIO_BLK_SECTOR;
        probe->physical = st->st_blksize > PROBE_BLOCK_MAX ? PROBE_BLOCK_MAX : (uint32_t) st->st_blksize;
}

static int probe_device(int disk, struct probe *probe)
{
        int logical;

        if (ioctl(disk, BLKGETSIZE64, &probe->bytes) < 0 || ioctl(disk, BLKSSZGET, &logical) < 0)
                return -errno;
        probe->logical = (uint32_t) logical;
        if (ioctl(disk, BLKPBSZGET, &probe->physical) < 0)
                probe->physical = probe->logical;
        if (ioctl(disk, BLKIOOPT, &probe->optimal) < 0)
                probe->optimal = 0;
        return 0;
}

int probe_geometry(int disk, const struct stat *st, struct probe *ret_probe)
{
        struct probe probe = { 0 };
        int r = 0;

        if (S_ISBLK(st->st_mode))
                r = probe_device(disk, &probe);
        else
                probe_file(st, &probe);
        if (r < 0)
                return r;
        if (!power_of_two(probe.logical) || probe.logical < VIRTIO_BLK_SECTOR)
                probe.logical = VIRTIO_BLK_SECTOR;
        if (!power_of_two(probe.physical) || probe.physical < probe.logical || probe.physical > PROBE_PHYSICAL_MAX)
                probe.physical = probe.logical;
        *ret_probe = probe;
        return 0;
}

int probe_direct(int disk, const struct probe *probe, uint32_t *ret_memory, uint32_t *ret_offset)
{
        struct statx stx;

        *ret_memory = *ret_offset = probe->logical;
        if (statx(disk, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) < 0 || !(stx.stx_mask & STATX_DIOALIGN))
                return 0;
        if (!power_of_two(stx.stx_dio_mem_align) || !power_of_two(stx.stx_dio_offset_align))
                return -EOPNOTSUPP;
        *ret_memory = stx.stx_dio_mem_align;
        *ret_offset = stx.stx_dio_offset_align;
        return 0;
}

/* A hole of one byte behind the end of a file frees nothing; a file system without holes says so all the same. */
static bool discards_file(int disk, const struct stat *st)
{
        return fallocate(disk, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, st->st_size, 1) == 0;
}

/* A misaligned range is refused with EINVAL, but a device that can't discard is found out before. */
static bool discards_device(int disk)
{
        uint64_t range[2] = { 1, 1 };

        return ioctl(disk, BLKDISCARD, range) < 0 && errno == EINVAL;
}

bool probe_discard(int disk, const struct stat *st)
{
        return S_ISBLK(st->st_mode) ? discards_device(disk) : discards_file(disk, st);
}
