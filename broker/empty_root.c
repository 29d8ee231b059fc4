/*
 * An empty root. Whoever begins there has no mount of the host to copy, to leave behind or to wait for.
 */
#include "empty_root.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Must hold one mount in the end, with nothing in it, which nobody can write to. */
int empty_root_make(void)
{
        const unsigned long harmless = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
        const char *const place = "/proc"; /* any directory that every host has */

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return -errno;
        if (mount("none", place, "tmpfs", harmless, "size=4096,nr_inodes=1,mode=555") < 0)
                return -errno;
        if (chdir(place) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
                return -errno;
        return 0;
}
