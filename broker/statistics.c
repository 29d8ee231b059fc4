/*
 * The file of a device's statistics. Who writes there is taken for hostile: the broker copies words and looks at none.
 */
#include "statistics.h"

#include "sealed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A worker that could shrink it would end the broker by SIGBUS; that it punches holes only makes zeroes. */
int statistics_make(const char *device, unsigned threads, struct fd *ret_file)
{
        char name[249]; /* the most that a kernel takes, and more than a device's can be */

        snprintf(name, sizeof(name), STATS_NAME "%s", device);
        return sealed_new(name, (uint64_t) threads * STATS_PAGE, ret_file);
}

/* To map what was never written would take a page for it. */
static bool was_written(int file, off_t page)
{
        off_t data = lseek(file, page, SEEK_DATA);

        return data >= 0 && data < page + STATS_PAGE;
}

int statistics_read(int file, unsigned threads, unsigned loop, struct stats_page *ret_page)
{
        off_t at = (off_t) loop * STATS_PAGE;
        uint64_t word[STATS_WORDS];
        const uint64_t *page;

        if (loop >= threads)
                return -ENOENT;
        *ret_page = (struct stats_page){ 0 };
        if (!was_written(file, at))
                return 0;
        page = mmap(NULL, STATS_PAGE, PROT_READ, MAP_SHARED, file, at);
        if (page == MAP_FAILED)
                return -errno;
        for (unsigned i = 0; i < STATS_WORDS; i++)
                word[i] = __atomic_load_n(&page[i], __ATOMIC_RELAXED);
        munmap((void *) page, STATS_PAGE);
        memcpy(ret_page, word, sizeof(*ret_page));
        return 0;
}
