/*
 * main() of the protocol test programs.
 */
#include "rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
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
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return failed || left ? EXIT_FAILURE : EXIT_SUCCESS;
}
