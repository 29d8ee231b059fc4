/*
 * The two programs that the broker runs. Uninstalled, the build tree's own are taken, never a mixture.
 */
#include "programs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The directory that this very program lies in. */
static int own_directory(char *ret_path, size_t size)
{
        ssize_t n = readlink("/proc/self/exe", ret_path, size);
        char *slash;

        if (n < 0)
                return -errno;
        if ((size_t) n >= size)
                return -ENAMETOOLONG;
        ret_path[n] = '\0';
        slash = strrchr(ret_path, '/');
        if (!slash)
                return -ENOENT;
        *slash = '\0';
        return 0;
}

static int open_one(const char *directory, const char *name, const struct log *log, struct fd *ret_program)
{
        char path[PATH_MAX + 64];

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        ret_program->num = open(path, O_RDONLY | O_CLOEXEC);
        if (!fd_has(ret_program)) {
                int r = -errno;

                log_error(log, "%s: %s", path, log_errno(r));
                return r;
        }
        return 0;
}

int programs_open(const struct log *log, struct programs *ret_programs)
{
        struct programs programs = { FD_NONE, FD_NONE };
        char directory[PATH_MAX];
        int r = own_directory(directory, sizeof(directory));

        if (r < 0) {
                log_error(log, "/proc/self/exe: %s", log_errno(r));
                return r;
        }
        if (strcmp(directory, VB_BINDIR) == 0) {
                r = open_one(VB_LIBEXECDIR, "vhost-session", log, &programs.session);
                if (r == 0)
                        r = open_one(VB_LIBEXECDIR, "vhost-worker", log, &programs.worker);
        } else {
                r = open_one(directory, "session/vhost-session", log, &programs.session);
                if (r == 0)
                        r = open_one(directory, "../worker/vhost-worker", log, &programs.worker);
        }
        if (r < 0) {
                programs_done(&programs);
                return r;
        }
        *ret_programs = programs;
        return 0;
}

void programs_done(struct programs *programs)
{
        fd_close(&programs->session);
        fd_close(&programs->worker);
}
