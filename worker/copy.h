/*
 * memcpy() for a header or a few descriptors, whose size is known at run time only: in line, for a call costs more than
 * such a copy; with musl's it was every tenth nanosecond of a request.
 */
#pragma once

#include <stddef.h>
#include <string.h>

static inline void copy_few(void *to, const void *from, size_t n)
{
        switch (n) {
        case 16:
                memcpy(to, from, 16);
                break;
        case 32:
                memcpy(to, from, 32);
                break;
        case 48:
                memcpy(to, from, 48);
                break;
        case 64:
                memcpy(to, from, 64);
                break;
        default:
                memcpy(to, from, n);
        }
}
