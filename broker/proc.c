/*
 * Files of /proc that steer a process.
 */
#include "proc.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int proc_write(pid_t pid, const char *name, const char *text)
{
        AUTO_FD file = FD_NONE;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
        file.num = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (!fd_has(&file))
                return -errno;
        return write(file.num, text, strlen(text)) < 0 ? -errno : 0;
}
