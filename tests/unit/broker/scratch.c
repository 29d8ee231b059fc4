/*
 * A directory of its own for each test, and a log to look at.
 */
#include "scratch.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void keep(void *context, enum log_level level, const char *text)
{
        struct scratch *scratch = context;
        size_t room = sizeof(scratch->lines) - scratch->used;
        int n = snprintf(scratch->lines + scratch->used, room, "%s\n", text);

        (void) level;
        ck_assert_int_lt(n, (int) room);
        scratch->used += (size_t) n;
}

int scratch_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int n = -3; /* '.', '..' and the directory itself */

        ck_assert_ptr_nonnull(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

void scratch_enter(struct scratch *scratch)
{
        const char *base = getenv("TMPDIR");

        *scratch = (struct scratch){
                .log = {keep, scratch, LOG_LEVEL_DEBUG}
        };
        scratch->fds = scratch_fds();
        snprintf(scratch->dir, sizeof(scratch->dir), "%s/unit-XXXXXX", base ? base : "/tmp");
        ck_assert_ptr_nonnull(mkdtemp(scratch->dir));
        scratch->home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(scratch->home, 0);
        ck_assert_int_eq(chdir(scratch->dir), 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
        (void) st;
        (void) kind;
        (void) at;
        return remove(path);
}

void scratch_leave(struct scratch *scratch)
{
        ck_assert_int_eq(fchdir(scratch->home), 0);
        close(scratch->home);
        ck_assert_int_eq(nftw(scratch->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        ck_assert_int_eq(scratch_fds(), scratch->fds);
}

void scratch_file(const char *name, const char *text)
{
        FILE *file = fopen(name, "we");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

void scratch_quiet(struct scratch *scratch)
{
        scratch->used = 0;
        scratch->lines[0] = 0;
}
