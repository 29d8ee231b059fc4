/*
 * Workers that note too little in the dirty log: nothing of rings, nothing of data, or of each piece of data its first
 * page only. Which of these, the linker says (--wrap). Tests only.
 */
#include "dirty_log.h"

void __wrap_dirty_log_mark(const struct dirty_log *log, struct gpa from, uint64_t len);
void __wrap_dirty_log_mark_all(const struct dirty_log *log, const struct gpa_range *ranges, unsigned n);

void __wrap_dirty_log_mark(const struct dirty_log *log, struct gpa from, uint64_t len)
{
        (void) log;
        (void) from;
        (void) len;
}

void __wrap_dirty_log_mark_all(const struct dirty_log *log, const struct gpa_range *ranges, unsigned n)
{
        for (unsigned i = 0; BLIND_NOTES && i < n; i++)
                dirty_log_mark(log, ranges[i].from, ranges[i].len > 0);
}
