/*
 * The dirty log. The front-end reads and clears bits while we set them, so each is an atomic OR with a full barrier's
 * strength: what was written before it is seen by whoever takes the bit away. The size is the front-end's: every store
 * is checked against it.
 */
#include "dirty_log.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void dirty_log_init(struct dirty_log *log)
{
        *log = (struct dirty_log){ .call = FD_NONE };
}

static int area_check(const struct ipc_dirty_log *what, int fd)
{
        struct stat file = { 0 };
        uint64_t end;

        if (what->size == 0 || what->offset % 8 || __builtin_add_overflow(what->offset, what->size, &end))
                return -EINVAL;
        if (syscall(SYS_fstat, fd, &file) < 0)
                return -errno;
        return S_ISREG(file.st_mode) && file.st_size >= 0 && end <= (uint64_t) file.st_size ? 0 : -EINVAL;
}

int dirty_log_replace(struct dirty_log *log, const struct ipc_dirty_log *what, int fd)
{
        uint64_t skip = what->offset % (uint64_t) sysconf(_SC_PAGESIZE);
        int r = area_check(what, fd);
        void *map;

        if (r < 0)
                return r;
        map = mmap(NULL, what->size + skip, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
                   (off_t) (what->offset - skip));
        if (map == MAP_FAILED)
                return -errno;
        if (log->map)
                munmap(log->map, log->map_len);
        log->map = map;
        log->map_len = what->size + skip;
        log->bits = (uint8_t *) map + skip;
        log->bytes = what->size;
        return 0;
}

void dirty_log_mark(const struct dirty_log *log, struct gpa from, uint64_t len)
{
        uint64_t end, first, last;

        if (!log->bits || len == 0 || __builtin_add_overflow(from.at, len - 1, &end))
                return;
        last = end / DIRTY_PAGE;
        for (uint64_t page = from.at / DIRTY_PAGE; page <= last && page / 8 < log->bytes; page = first + 8) {
                unsigned mask = 0xffU << page % 8;

                first = page - page % 8;
                if (last - first < 7)
                        mask &= 0xffU >> (7 - (last - first));
                __atomic_fetch_or(&log->bits[page / 8], (uint8_t) mask, __ATOMIC_SEQ_CST);
        }
}

void dirty_log_mark_all(const struct dirty_log *log, const struct gpa_range *ranges, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                dirty_log_mark(log, ranges[i].from, ranges[i].len);
}
