/*
 * Image locks. QEMU's raw driver shows each use of an image by shared locks on single bytes far into the file's lock
 * space (not its content), and looks for conflicts by asking whether an exclusive lock would be possible:
 *
 *   100 + use   this use is going on
 *   200 + use   nobody else may use it so
 *
 * First the own locks are set, then the others' are looked for: of two openers at the same time, at least one sees
 * the other. Open file description locks, so that they end with the last duplicate of this open file.
 */
#include "image_lock.h"

#include <errno.h>
#include <fcntl.h>

enum use { USE_READ, USE_WRITE, USE_WRITE_UNCHANGED, USE_RESIZE, USES };

enum {
        BYTE_USED = 100,
        BYTE_UNSHARED = 200,
};

#define USE_BIT(use) (1u << (use))

/* What it means that another holds the byte. */
static const char *const used_means[USES] = {
        "another process reads it",
        "another process writes to it",
        "another process rewrites it",
        "another process resizes it",
};

static const char *const unshared_means[USES] = {
        "another process lets nobody read it",
        "another process uses it and lets nobody write to it",
        "another process lets nobody rewrite it",
        "another process lets nobody resize it",
};

static struct flock one_byte(short type, off_t at)
{
        return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };
}

static int set_locks(int disk, off_t base, unsigned uses)
{
        for (unsigned i = 0; i < USES; i++) {
                struct flock lock = one_byte(F_RDLCK, base + i);

                if ((uses & USE_BIT(i)) && fcntl(disk, F_OFD_SETLK, &lock) < 0)
                        return -errno;
        }
        return 0;
}

static int find_conflict(int disk, off_t base, unsigned uses, const char *const *means, const char **ret_conflict)
{
        for (unsigned i = 0; i < USES; i++) {
                struct flock lock = one_byte(F_WRLCK, base + i);

                if (!(uses & USE_BIT(i)))
                        continue;
                if (fcntl(disk, F_OFD_GETLK, &lock) < 0)
                        return -errno;
                if (lock.l_type != F_UNLCK) {
                        *ret_conflict = means[i];
                        return -EBUSY;
                }
        }
        return 0;
}

/* Who was refused must be in nobody's way. */
static void give_back(int disk)
{
        struct flock used = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = BYTE_USED, .l_len = USES };
        struct flock unshared = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = BYTE_UNSHARED, .l_len = USES };

        fcntl(disk, F_OFD_SETLK, &used);
        fcntl(disk, F_OFD_SETLK, &unshared);
}

/* A guest's disk may be read by others, but neither written nor resized. */
int image_lock(int disk, bool writes, const char **ret_conflict)
{
        unsigned used = USE_BIT(USE_READ) | (writes ? USE_BIT(USE_WRITE) : 0);
        unsigned unshared = USE_BIT(USE_WRITE) | USE_BIT(USE_RESIZE);
        int r = set_locks(disk, BYTE_USED, used);

        if (r == 0)
                r = set_locks(disk, BYTE_UNSHARED, unshared);
        if (r == 0)
                r = find_conflict(disk, BYTE_UNSHARED, used, unshared_means, ret_conflict);
        if (r == 0)
                r = find_conflict(disk, BYTE_USED, unshared, used_means, ret_conflict);
        if (r < 0)
                give_back(disk);
        return r;
}
