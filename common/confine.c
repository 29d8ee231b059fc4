/*
 * The last stage of confinement. The C library's headers are older than the kernels that we run on, so the
 * interfaces of landlock are spelled out here; what a kernel does not know is masked by the version it reports.
 */
#include "confine.h"

#include "array.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
        VB_PR_SET_MDWE = 65,
        VB_PR_MDWE_REFUSE_EXEC_GAIN = 1,

        VB_SYS_LANDLOCK_CREATE_RULESET = 444,
        VB_SYS_LANDLOCK_RESTRICT_SELF = 446,
        VB_LANDLOCK_CREATE_RULESET_VERSION = 1,
};

struct landlock_rights {
        uint64_t files;
        uint64_t tcp;
        uint64_t scopes;
};

/* What each version of landlock can take, cumulatively (kernel, Documentation/userspace-api/landlock.rst). */
static const struct landlock_rights landlock_versions[] = {
        { 0, 0, 0 },
        { 0x1fff, 0, 0 }, /* 1: files */
        { 0x3fff, 0, 0 }, /* 2: refer */
        { 0x7fff, 0, 0 }, /* 3: truncate */
        { 0x7fff, 3, 0 }, /* 4: TCP bind and connect */
        { 0xffff, 3, 0 }, /* 5: ioctl on devices */
        { 0xffff, 3, 3 }, /* 6: abstract sockets, signals */
};

int confine_self(void)
{
        if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                return -EPERM;
        return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int confine_mdwe(void)
{
        if (prctl(VB_PR_SET_MDWE, VB_PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0)
                return 0;
        return errno == EINVAL ? -ENOSYS : -errno;
}

int confine_landlock(void)
{
        struct landlock_rights rights;
        long version = syscall(VB_SYS_LANDLOCK_CREATE_RULESET, NULL, 0, VB_LANDLOCK_CREATE_RULESET_VERSION);
        size_t known = ARRAY_SIZE(landlock_versions) - 1;
        size_t size;
        int ruleset, r;

        if (version < 1) /* EPERM: hidden by a container's filter */
                return version < 0 && errno != ENOSYS && errno != EOPNOTSUPP && errno != EPERM ? -errno : -ENOSYS;
        rights = landlock_versions[(size_t) version < known ? (size_t) version : known];
#ifdef VB_SANITIZED
        rights.files = 0; /* a report is a file; test builds only */
        if (!rights.tcp)
                return -ENOSYS;
#endif
        size = version >= 6 ? sizeof(rights) : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
        ruleset = (int) syscall(VB_SYS_LANDLOCK_CREATE_RULESET, &rights, size, 0);
        if (ruleset < 0)
                return -errno;
        r = (int) syscall(VB_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0);
        if (r < 0)
                r = -errno;
        close(ruleset);
        return r;
}

int confine_filter(const struct sock_filter *code, unsigned short n)
{
        struct sock_fprog program = { .len = n, .filter = (struct sock_filter *) code };
        long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);

        return r < 0 ? -errno : r > 0 ? -EBUSY : 0;
}
