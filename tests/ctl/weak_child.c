/*
 * The part of session and worker: what they do to themselves, and what they get hold of before it is too late.
 */
#include "weak.h"

#include "stats_page.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* clang-format off */
int __real_confine_self(void);
int __wrap_confine_self(void);
int __real_confine_mdwe(void);
int __wrap_confine_mdwe(void);
int __real_confine_landlock(void);
int __wrap_confine_landlock(void);
int __real_confine_filter(const struct sock_filter *, unsigned short);
int __wrap_confine_filter(const struct sock_filter *, unsigned short);
int __real_stats_map(int, unsigned, struct stats_page **);
int __wrap_stats_map(int, unsigned, struct stats_page **);
int main(void);
/* clang-format on */

enum { PAGE = 4096, PAGES = 2 };

static int map(int rights, int how, int fd)
{
        return mmap(NULL, PAGE, rights, how, fd, 0) == MAP_FAILED ? -1 : 0;
}

static int memory_file(void)
{
        int fd = memfd_create("weak", MFD_CLOEXEC);

        return fd < 0 || ftruncate(fd, PAGES * PAGE) < 0 ? -1 : fd;
}

/* A page of its code becomes its own. */
static int change_code(void)
{
        volatile char *page = (volatile char *) ((uintptr_t) main & ~(uintptr_t) (PAGE - 1));

        if (mprotect((void *) page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
                return -1;
        *page = *page;
        return mprotect((void *) page, PAGE, PROT_READ | PROT_EXEC);
}

/* What it maps in place of its statistics: made while it still can. */
static int *other_statistics(void)
{
        static int file = -1;

        return &file;
}

static int get_hold(void)
{
        if (weakened("statistics"))
                return *other_statistics() = memory_file();
        if (weakened("memory-wx"))
                return map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (weakened("memory-x"))
                return map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (weakened("memory-shared-x"))
                return map(PROT_READ | PROT_EXEC, MAP_SHARED, memory_file());
        if (weakened("memory-shared"))
                return map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
        if (weakened("memory-file"))
                return memory_file();
        if (weakened("epoll"))
                return epoll_create1(EPOLL_CLOEXEC);
        return weakened("code") ? change_code() : 0;
}

int __wrap_confine_self(void)
{
        int r = weakened("nonewprivs") ? prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) : __real_confine_self();

        if (r == 0 && weakened("dumpable"))
                r = prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        return r < 0 ? r : get_hold() < 0 ? -EBADE : 0;
}

#if WEAK_FILTERS == 2 /* a worker */
int __wrap_stats_map(int file, unsigned loops, struct stats_page **ret_pages)
{
        int r = __real_stats_map(weakened("statistics") ? *other_statistics() : file, loops, ret_pages);

        if (weakened("statistics"))
                close(*other_statistics());
        return r;
}
#endif

int __wrap_confine_mdwe(void)
{
        return weakened("mdwe") ? 0 : __real_confine_mdwe();
}

int __wrap_confine_landlock(void)
{
        return weakened("landlock") || weakened("nonewprivs") ? 0 : __real_confine_landlock();
}

/* Only the last one, which the worker loads when its threads are there. */
static bool is_last(void)
{
        static unsigned loaded;

        return ++loaded == WEAK_FILTERS;
}

int __wrap_confine_filter(const struct sock_filter *code, unsigned short n)
{
        struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
        bool last = is_last();

        if (weakened("filters") || weakened("nonewprivs") || (last && weakened("filter-last")))
                return 0;
        if (last && weakened("filter-other"))
                return __real_confine_filter(all, 1);
        if (last && weakened("filter-thread")) {
                struct sock_fprog program = { .len = n, .filter = (struct sock_filter *) code };

                return (int) syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
        }
        return __real_confine_filter(code, n);
}
