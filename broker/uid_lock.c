/*
 * Host ids that no other broker of this host uses: byte N of the lock file stands for id N. The locks belong to the
 * open file, so they go when the broker goes, however it goes.
 */
#include "uid_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_file(const char *run_dir, const struct log *log, struct fd *ret_file)
{
        char path[256];
        int num;

        if (snprintf(path, sizeof(path), "%s/uids.lock", run_dir) >= (int) sizeof(path)) {
                log_error(log, "--run-dir=%.40s...: longer than %zu bytes: ENAMETOOLONG", run_dir,
                          sizeof(path) - sizeof("/uids.lock"));
                return -ENAMETOOLONG;
        }
        if (mkdir(run_dir, 0755) < 0 && errno != EEXIST) {
                int r = -errno;

                log_error(log, "%s: cannot be made: %s", run_dir, log_errno(r));
                return r;
        }
        num = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
        if (num < 0) {
                int r = -errno;

                log_error(log, "%s: %s", path, log_errno(r));
                return r;
        }
        ret_file->num = num;
        return 0;
}

/* Locks the ids or tells where the lock that is in the way ends. */
static int try_lock(int file, uint32_t first, uint32_t need, uint64_t *ret_next)
{
        struct flock want = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = need };

        if (fcntl(file, F_OFD_SETLK, &want) == 0)
                return 0;
        if (errno != EAGAIN && errno != EACCES)
                return -errno;
        if (fcntl(file, F_OFD_GETLK, &want) < 0)
                return -errno;
        if (want.l_type != F_UNLCK && want.l_len == 0) /* to the end of the file */
                return -ENOSPC;
        *ret_next = want.l_type == F_UNLCK ? first : (uint64_t) want.l_start + (uint64_t) want.l_len;
        return -EAGAIN;
}

int uid_lock(const char *run_dir, uint32_t base, uint32_t count, uint32_t need, const struct log *log,
             struct fd *ret_lock, uint32_t *ret_first)
{
        AUTO_FD file = FD_NONE;
        uint64_t first = base, end = (uint64_t) base + count;
        int r = open_file(run_dir, log, &file);

        if (r < 0)
                return r;
        while (first + need <= end) {
                r = try_lock(file.num, (uint32_t) first, need, &first);
                if (r == 0) {
                        *ret_first = (uint32_t) first;
                        *ret_lock = fd_take(&file);
                        return 0;
                }
                if (r != -EAGAIN)
                        break;
        }
        if (r == -EAGAIN || r == 0)
                r = -ENOSPC;
        log_error(log, "uid range %u:%u: no %u free ids in a row (--uid-range= gives more): %s", base, count, need,
                  log_errno(r));
        return r;
}
