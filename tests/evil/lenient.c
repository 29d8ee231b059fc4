/*
 * In the builds where filters answer with an error instead of killing, so that one process can try them all: the
 * program's own filters otherwise, instruction for instruction.
 */
#include "command.h"
#include "confine.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

enum { MOST = 1024 };

int __real_confine_filter(const struct sock_filter *code, unsigned short n);
int __wrap_confine_filter(const struct sock_filter *code, unsigned short n);

int __wrap_confine_filter(const struct sock_filter *code, unsigned short n)
{
        struct sock_filter lenient[MOST];

        if (n > MOST)
                return -E2BIG;
        memcpy(lenient, code, n * sizeof(*code));
        for (unsigned i = 0; i < n; i++)
                if (BPF_CLASS(lenient[i].code) == BPF_RET && lenient[i].k == SECCOMP_RET_KILL_PROCESS)
                        lenient[i].k = SECCOMP_RET_ERRNO | EVIL_ERRNO;
        return __real_confine_filter(lenient, n);
}
