/*
 * The two programs that the broker runs, opened once at start: what is executed later cannot be exchanged meanwhile.
 */
#pragma once

#include "fd.h"
#include "log.h"

struct programs {
        struct fd session;
        struct fd worker;
};

/*
 * Opens them where they were installed, or beside a broker that runs from its build tree. Failures are logged; -errno.
 */
int programs_open(const struct log *log, struct programs *ret_programs);
void programs_done(struct programs *programs);
