/*
 * The pages that statistics are written to. Counters go on where a predecessor has left them, whoever that was: nothing
 * read there is used but to be added to.
 */
#include "stats.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a predecessor had in flight is not, and what it said of itself is not so any more. */
static void forget(struct stats_page *page)
{
        page->in_flight = 0;
        memset((uint64_t *) page + STATS_COUNTERS, 0, (STATS_WORDS - STATS_COUNTERS) * sizeof(uint64_t));
}

int stats_map(int file, unsigned loops, struct stats_page **ret_pages)
{
        size_t len = (size_t) loops * STATS_PAGE;
        struct stat st = { 0 };
        char *pages;

        if (syscall(SYS_fstat, file, &st) < 0)
                return -errno;
        if (st.st_size < 0 || (uint64_t) st.st_size < len)
                return -EINVAL;
        pages = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (pages == MAP_FAILED)
                return -errno;
        for (unsigned i = 0; st.st_blocks && i < loops; i++) /* never written: they cost nothing and stay so */
                forget((struct stats_page *) (pages + (size_t) i * STATS_PAGE));
        *ret_pages = (struct stats_page *) pages;
        return 0;
}

void stats_end_run(struct stats *stats, struct stats_run *run)
{
        struct stats_page *page = stats->page;

        if (run->n) {
                stats_add(&page->requests[run->kind], run->n);
                stats_add(&page->bytes[run->kind], run->bytes);
                if (run->kind < STATS_TIMED)
                        stats_add(&page->latency[run->kind][stats_bucket_of(stats->now - run->since)], run->n);
        }
        *run = (struct stats_run){ .kind = run->kind, .since = run->since };
}
