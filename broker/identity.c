/*
 * Who the calling process is, and what it may.
 */
#include "identity.h"

#include <cap-ng.h>
#include <errno.h>

bool identity_may_choose(void)
{
        return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) &&
               capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID);
}

int identity_become(uid_t uid, gid_t gid, bool keep_ids)
{
        int flags = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID) ? CAPNG_DROP_SUPP_GRP : CAPNG_NO_FLAG;

        if (!keep_ids && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
                flags |= CAPNG_CLEAR_BOUNDING;
        capng_clear(CAPNG_SELECT_BOTH | CAPNG_SELECT_AMBIENT);
        if (keep_ids)
                capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SETUID, CAP_SETGID, -1);
        return capng_change_id((int) uid, (int) gid, (capng_flags_t) flags) ? -EPERM : 0;
}

int identity_drop(void)
{
        capng_clear(CAPNG_SELECT_BOTH | CAPNG_SELECT_AMBIENT);
        return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}

bool identity_is_bare(void)
{
        return capng_get_caps_process() == 0 && capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE;
}
