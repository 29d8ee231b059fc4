/*
 * Sealed memory files. Kernels before 6.3 know no seal against execution.
 */
#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { VB_MFD_NOEXEC_SEAL = 0x0008 }; /* newer than the C library's headers */

int sealed_new(const char *name, uint64_t bytes, struct fd *ret_file)
{
        const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
        AUTO_FD file = { memfd_create(name, flags | VB_MFD_NOEXEC_SEAL) };

        if (!fd_has(&file) && errno == EINVAL)
                file.num = memfd_create(name, flags);
        if (!fd_has(&file) || ftruncate(file.num, (off_t) bytes) < 0 ||
            fcntl(file.num, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return -errno;
        *ret_file = fd_take(&file);
        return 0;
}
