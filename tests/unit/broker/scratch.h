/*
 * What the tests of this room share: a directory of their own and a log that they can look at.
 */
#pragma once

#include "log.h"

#include <stddef.h>

/* A new empty directory, which becomes the current one. Everything in it goes with scratch_leave(). */
struct scratch {
        char dir[64];
        int home; /* where to return to */
        int fds;  /* open at the beginning */

        struct log log;
        char lines[8192]; /* what was logged, a '\n' after each line */
        size_t used;
};

void scratch_enter(struct scratch *scratch);

/* Fails the test if it left descriptors behind. */
void scratch_leave(struct scratch *scratch);

/* Writes a file in the current directory. */
void scratch_file(const char *name, const char *text);

/* Forgets the lines logged so far. */
void scratch_quiet(struct scratch *scratch);

/* Open descriptors of this process. */
int scratch_fds(void);
