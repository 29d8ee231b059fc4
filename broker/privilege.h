/*
 * How the broker gives its privilege away: a namespace over a range of host ids is made while it may, and from then
 * on it holds no capability over the host. design: "Confinement".
 */
#pragma once

#include "fd.h"
#include "log.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct privilege {
        struct fd range; /* the range namespace; FD_NONE: none can be had and the config agrees */
        struct fd root;  /* a mount namespace below it with an empty root; FD_NONE as above, and with a sanitizer */
        struct fd lock;  /* keeps the ids ours */
        bool own_uid;    /* the range is the broker's own uid alone */
        uint32_t first;  /* host id of id 0 in the range */
        uint32_t count;  /* ids in the range; id 0 is never a child's, unless own_uid */
        uint32_t lacks;  /* enum ipc_layer: what no child can have */
};

struct privilege_want {
        bool has_user; /* else the first id of the range becomes the broker's */
        uid_t uid;
        gid_t gid;
        uint32_t uid_base, uid_count;
        const char *run_dir;
        uint32_t ids;      /* host ids needed for children */
        uint32_t may_lack; /* enum ipc_layer: what every device's config allows to be missing */
};

/*
 * Makes the range namespace and drops to the broker's own uid without any capability, for good. Started without
 * SETUID and SETGID it maps its own uid only. All failures are logged; -errno.
 */
int privilege_give_away(const struct privilege_want *want, const struct log *log, struct privilege *ret_privilege);
