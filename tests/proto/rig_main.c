/*
 * main() of the protocol test programs.
 */
#include "rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

/* Tests are processes of their own: what one leaves out is kept in a file, a line each. */
static FILE *left_out(const char *dir, const char *mode)
{
        char path[RIG_PATH_MAX];

        snprintf(path, sizeof(path), "%s/left-out", dir);
        return fopen(path, mode);
}

void rig_left_out(const char *what)
{
        char line[256];
        bool known = false;
        FILE *file = left_out(getenv("RIG_DIR"), "a+e");

        ck_assert(file != NULL);
        while (fgets(line, sizeof(line), file))
                known |= !strncmp(line, what, strlen(what));
        if (!known)
                fprintf(file, "%s\n", what);
        ck_assert_int_eq(fclose(file), 0);
}

static void say_left_out(const char *dir)
{
        char line[256];
        FILE *file = left_out(dir, "re");

        while (file && fgets(line, sizeof(line), file))
                printf("left out: %s", line);
        if (file)
                fclose(file);
}

int rig_main(Suite *suite)
{
        char dir[] = "/tmp/vb-XXXXXX";
        SRunner *runner = srunner_create(suite);
        unsigned left;
        int failed;

        if (!mkdtemp(dir) || chmod(dir, 0755) || setenv("RIG_DIR", dir, 1))
                return 99;
        prctl(PR_SET_CHILD_SUBREAPER, 1); /* adopts what a failed test has left */
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        left = prog_kill_left_overs();
        say_left_out(dir);
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return failed || left ? EXIT_FAILURE : EXIT_SUCCESS;
}
