/*
 * Is it our program that runs? The file is compared with the installed one, and the code in memory must be that of the
 * file: no page of it was ever written to.
 */
#include "inspect.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where this very program expects the others: installed, or in the build tree, as the broker does (programs.c). */
static int installed_path(enum policy_program program, char *ret_path, size_t size)
{
        static const char *const installed[] = { VB_BINDIR "/vhost-broker", VB_LIBEXECDIR "/vhost-session",
                                                 VB_LIBEXECDIR "/vhost-worker" };
        static const char *const built[] = { "../vhost-broker", "../session/vhost-session",
                                             "../../worker/vhost-worker" };
        char own[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
        char *slash;

        if (n < 0)
                return -errno;
        own[n] = '\0';
        slash = strrchr(own, '/');
        if (!slash)
                return -ENOENT;
        *slash = '\0';
        n = strcmp(own, VB_BINDIR) == 0 ? snprintf(ret_path, size, "%s", installed[program])
                                        : snprintf(ret_path, size, "%s/%s", own, built[program]);
        return (size_t) n < size ? 0 : -ENAMETOOLONG;
}

/* 1: the same bytes; 0: not. -errno. */
static int same_file(int a, int b)
{
        char x[16384], y[16384];
        struct stat s, t;
        ssize_t n, m;

        if (fstat(a, &s) < 0 || fstat(b, &t) < 0)
                return -errno;
        if (s.st_dev == t.st_dev && s.st_ino == t.st_ino)
                return 1;
        if (s.st_size != t.st_size)
                return 0;
        for (off_t at = 0; at < s.st_size; at += n) {
                n = pread(a, x, sizeof(x), at);
                m = pread(b, y, sizeof(y), at);
                if (n <= 0 || m != n)
                        return n < 0 || m < 0 ? -errno : -EIO;
                if (memcmp(x, y, (size_t) n) != 0)
                        return 0;
        }
        return 1;
}

static int compare(const struct subject *s, const char *path)
{
        AUTO_FD runs = { openat(s->process.dir.num, "exe", O_RDONLY | O_CLOEXEC) };
        AUTO_FD ours = FD_NONE;

        if (!fd_has(&runs))
                return -errno;
        ours.num = open(path, O_RDONLY | O_CLOEXEC);
        return fd_has(&ours) ? same_file(runs.num, ours.num) : -errno;
}

/* KiB of executable mappings that are no longer the file's. */
static int changed_code(const struct subject *s, uint64_t *ret_kib)
{
        FILE *smaps = process_file(&s->process, "smaps");
        bool executable = false;
        char line[512];

        if (!smaps)
                return -errno;
        *ret_kib = 0;
        while (fgets(line, sizeof(line), smaps)) {
                char rights[8];
                uint64_t kib;

                if (sscanf(line, "%*x-%*x %7s", rights) == 1)
                        executable = strchr(rights, 'x') != NULL;
                else if (executable && sscanf(line, "Anonymous: %" SCNu64, &kib) == 1)
                        *ret_kib += kib;
        }
        fclose(smaps);
        return 0;
}

void judge_program(struct inspection *in, struct subject *s)
{
        enum policy_program program = s->policy ? s->policy->program : POLICY_BROKER;
        char path[PATH_MAX + 64];
        uint64_t changed = 0;
        int r = installed_path(program, path, sizeof(path));

        if (r == 0)
                r = compare(s, path);
        if (r <= 0) {
                report_line(&in->report, REPORT_SHORT, "program", "it is not %.200s%s%s", path, r ? ": " : "",
                            r ? log_errno(r) : "");
                return;
        }
        r = changed_code(s, &changed);
        s->program_proven = r == 0 && changed == 0;
        if (r < 0)
                report_line(&in->report, REPORT_SHORT, "program", "its mappings cannot be read: %s", log_errno(r));
        else if (changed)
                report_line(&in->report, REPORT_SHORT, "program", "%" PRIu64 " KiB of its code were changed in memory",
                            changed);
        else
                report_line(&in->report, REPORT_OK, "program", "%.200s, its code unchanged in memory", path);
}
