/*
 * Runs a program, and all that it starts, on a kernel that refuses one system call:
 *
 *   with_fault CALL ERRNO PROGRAM [ARGUMENT...]
 *
 * CALL by name, ERRNO as a number. A filter that answers for the kernel, below those that the program loads itself.
 */
#include <err.h>
#include <seccomp.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        int call;

        if (argc < 4)
                errx(2, "usage: with_fault CALL ERRNO PROGRAM [ARGUMENT...]");
        call = seccomp_syscall_resolve_name(argv[1]);
        if (!filter || call < 0 || seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, geteuid() != 0) < 0 ||
            seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned) atoi(argv[2])), call, 0) < 0 || seccomp_load(filter) < 0)
                errx(1, "no filter for %s", argv[1]);
        execv(argv[3], argv + 3);
        err(1, "%s", argv[3]);
}
