/*
 * Reading /proc.
 */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

const char *const process_namespaces[PROCESS_NAMESPACES] = { "user", "pid", "mnt", "net", "ipc", "uts", "cgroup" };

static int read_whole(int dir, const char *name, char *to, size_t size)
{
        AUTO_FD file = { openat(dir, name, O_RDONLY | O_CLOEXEC) };
        size_t n = 0;
        ssize_t got;

        if (!fd_has(&file))
                return -errno;
        while ((got = read(file.num, to + n, size - 1 - n)) > 0)
                n += (size_t) got;
        to[n] = '\0';
        return got < 0 ? -errno : 0;
}

int process_open(pid_t pid, struct process *ret_process)
{
        struct process process = { .pid = pid };
        char path[64];
        int r;

        snprintf(path, sizeof(path), "/proc/%d", (int) pid);
        process.dir.num = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (!fd_has(&process.dir))
                return errno == ENOENT ? -ESRCH : -errno;
        r = read_whole(process.dir.num, "status", process.status, sizeof(process.status));
        if (r < 0) {
                fd_close(&process.dir);
                return r;
        }
        for (unsigned i = 0; i < PROCESS_NAMESPACES; i++) {
                struct stat st;

                snprintf(path, sizeof(path), "ns/%s", process_namespaces[i]);
                process.ns[i] = fstatat(process.dir.num, path, &st, 0) == 0 ? st.st_ino : 0;
        }
        *ret_process = process;
        return 0;
}

void process_done(struct process *process)
{
        fd_close(&process->dir);
}

bool process_lives(const struct process *process)
{
        char status[PROCESS_STATUS_MAX], state[32];

        return read_whole(process->dir.num, "status", status, sizeof(status)) == 0 &&
               status_field(status, "State", state, sizeof(state)) && state[0] != 'Z' && state[0] != 'X';
}

FILE *process_file(const struct process *process, const char *name)
{
        struct fd file = { openat(process->dir.num, name, O_RDONLY | O_CLOEXEC) };
        FILE *stream = fd_has(&file) ? fdopen(file.num, "r") : NULL;

        if (!stream)
                fd_close(&file);
        return stream;
}

int process_descriptors(const struct process *process, process_descriptor *each, void *context)
{
        struct fd dir = { openat(process->dir.num, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
        DIR *fds = fd_has(&dir) ? fdopendir(dir.num) : NULL;
        struct dirent *entry;

        if (!fds) {
                int r = -errno;

                fd_close(&dir);
                return r;
        }
        while ((entry = readdir(fds))) {
                char target[PROCESS_TARGET_MAX];
                struct stat file;
                ssize_t n = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

                if (n < 0 || fstatat(dirfd(fds), entry->d_name, &file, 0) < 0)
                        continue; /* "." and "..", or closed meanwhile */
                target[n] = '\0';
                each(context, entry->d_name, target, &file);
        }
        closedir(fds);
        return 0;
}

static bool parse_mapping(const char *line, struct process_mapping *ret)
{
        unsigned major_, minor_;
        uint64_t inode;

        ret->name[0] = '\0';
        if (sscanf(line, "%*x-%*x %7s %*x %x:%x %" SCNu64 " %255s", ret->rights, &major_, &minor_, &inode,
                   ret->name) < 4)
                return false;
        ret->device = makedev(major_, minor_);
        ret->inode = inode;
        return true;
}

int process_mappings(const struct process *process, process_mapping_seen *each, void *context)
{
        struct process_mapping mapping;
        FILE *maps = process_file(process, "maps");
        char line[4200];
        bool any = false;

        if (!maps)
                return -errno;
        while (fgets(line, sizeof(line), maps))
                if (parse_mapping(line, &mapping)) {
                        each(context, &mapping);
                        any = true;
                }
        fclose(maps);
        return any ? 0 : -ESRCH;
}

bool status_field(const char *status, const char *field, char *ret_text, size_t size)
{
        size_t n = strlen(field);

        for (const char *line = status; line && *line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, field, n) != 0 || line[n] != ':')
                        continue;
                line += n + 1;
                line += strspn(line, " \t");
                n = strcspn(line, "\n");
                while (n && (line[n - 1] == ' ' || line[n - 1] == '\t'))
                        n--;
                snprintf(ret_text, size, "%.*s", (int) n, line);
                return true;
        }
        return false;
}

uint64_t status_number(const char *status, const char *field, int base)
{
        char text[64], *end;
        uint64_t number;

        if (!status_field(status, field, text, sizeof(text)))
                return UINT64_MAX;
        number = strtoull(text, &end, base);
        return end == text ? UINT64_MAX : number;
}

int process_thread_status(const struct process *process, const char *thread, char *ret_status, size_t size)
{
        char name[64];

        snprintf(name, sizeof(name), "task/%.20s/status", thread);
        return read_whole(process->dir.num, name, ret_status, size);
}
