/*
 * Which measure is taken away.
 */
#include "weak.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool weakened(const char *measure)
{
        const char *said = getenv("VHOST_TEST_WEAKEN");
        size_t n = strlen(measure);

        if (!said)
                said = program_invocation_name;
        return strncmp(said, measure, n) == 0 && (said[n] == '\0' || said[n] == ':');
}
