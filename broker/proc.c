/*
 * Files of /proc that steer a process, and its namespaces.
 */
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int proc_open(struct fd *ret_proc)
{
        ret_proc->num = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        return fd_has(ret_proc) ? 0 : -errno;
}

int proc_write(const struct fd *proc, pid_t pid, const char *name, const char *text)
{
        AUTO_FD file = FD_NONE;
        char path[64];

        snprintf(path, sizeof(path), "%d/%s", (int) pid, name);
        file.num = openat(proc->num, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (!fd_has(&file))
                return -errno;
        return write(file.num, text, strlen(text)) < 0 ? -errno : 0;
}

int proc_open_namespace(pid_t pid, const char *kind, struct fd *ret_fd)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int) pid, kind);
        ret_fd->num = open(path, O_RDONLY | O_CLOEXEC);
        return fd_has(ret_fd) ? 0 : -errno;
}
