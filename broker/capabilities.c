/*
 * --print-capabilities. Types and features are those of QEMU's vhost-user.json.
 */
#include "capabilities.h"

#include "policy.h"

#include <errno.h>
#include <string.h>

static const char *features_of(const char *type)
{
        return strcmp(type, policy_block.type) == 0 ? ",\"features\":[\"read-only\",\"blk-file\"]" : "";
}

int capabilities_print(FILE *out, const char *type)
{
        fprintf(out, "{\"type\":\"%s\"%s}\n", type, features_of(type));
        return fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}
