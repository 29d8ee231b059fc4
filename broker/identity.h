/*
 * Who the calling process is, and what it may: uid, gid, groups, capabilities.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* The privilege that start-up needs: to give the children ids that are not the broker's. */
bool identity_may_choose(void);

/*
 * Becomes uid and gid without other groups, and keeps SETUID and SETGID (keep_ids) or no capability at all, in no set.
 * -EPERM.
 */
int identity_become(uid_t uid, gid_t gid, bool keep_ids);

/* Drops all capabilities and stays who it is. -EPERM. */
int identity_drop(void);

/* Is no capability left in any set? */
bool identity_is_bare(void);
