/*
 * What the kernel says of a process.
 */
#include "proc_view.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static FILE *open_proc(pid_t pid, const char *name)
{
        char path[64];
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
        file = fopen(path, "re");
        ck_assert_msg(file != NULL, "%s cannot be read", path);
        return file;
}

static DIR *open_proc_dir(pid_t pid, const char *name)
{
        char path[64];
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
        dir = opendir(path);
        ck_assert_msg(dir != NULL, "%s cannot be read", path);
        return dir;
}

static struct dirent *next_entry(DIR *dir)
{
        struct dirent *entry;

        do
                entry = readdir(dir);
        while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
        return entry;
}

void proc_status(pid_t pid, const char *field, char *ret_text, size_t size)
{
        FILE *file = open_proc(pid, "status");
        size_t n = strlen(field);
        char line[512];
        bool found = false;

        while (!found && fgets(line, sizeof(line), file))
                found = strncmp(line, field, n) == 0 && line[n] == ':';
        fclose(file);
        ck_assert_msg(found, "no %s in status of %d", field, (int) pid);
        line[strcspn(line, "\n")] = '\0';
        snprintf(ret_text, size, "%s", line + n + 1 + (line[n + 1] == '\t'));
}

uint64_t proc_status_hex(pid_t pid, const char *field)
{
        char text[64];

        proc_status(pid, field, text, sizeof(text));
        return strtoull(text, NULL, 16);
}

uint64_t proc_status_number(pid_t pid, const char *field)
{
        char text[64];

        proc_status(pid, field, text, sizeof(text));
        return strtoull(text, NULL, 10);
}

uint64_t proc_namespace(pid_t pid, const char *name)
{
        char path[64];
        struct stat status;

        snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int) pid, name);
        ck_assert_msg(stat(path, &status) == 0, "%s cannot be read", path);
        return status.st_ino;
}

unsigned proc_root_entries(pid_t pid)
{
        DIR *dir = open_proc_dir(pid, "root");
        unsigned n = 0;

        while (next_entry(dir))
                n++;
        closedir(dir);
        return n;
}

unsigned proc_readonly_mounts(pid_t pid, unsigned *ret_mounts)
{
        FILE *file = open_proc(pid, "mountinfo");
        char line[1024], options[128];
        unsigned readonly = 0;

        *ret_mounts = 0;
        while (fgets(line, sizeof(line), file)) {
                ck_assert_int_eq(sscanf(line, "%*s %*s %*s %*s %*s %127s", options), 1);
                readonly += strncmp(options, "ro", 2) == 0 && (options[2] == ',' || options[2] == '\0');
                ++*ret_mounts;
        }
        fclose(file);
        return readonly;
}

static void count_fd(struct proc_fds *fds, const char *target, char sockets[][64], unsigned most)
{
        if (strncmp(target, "socket:", 7) == 0) {
                for (unsigned i = 0; i < fds->sockets; i++)
                        if (strcmp(sockets[i], target) == 0)
                                return;
                ck_assert_uint_lt(fds->sockets, most);
                snprintf(sockets[fds->sockets++], 64, "%.63s", target);
        } else if (strncmp(target, "pipe:", 5) == 0) {
                fds->pipes++;
        } else if (strcmp(target, "anon_inode:[eventfd]") == 0) {
                fds->eventfds++;
        } else if (strcmp(target, "anon_inode:[eventpoll]") == 0) {
                fds->epolls++;
        } else if (strcmp(target, "anon_inode:[io_uring]") == 0) {
                fds->rings++;
        } else if (target[0] == '/') {
                fds->files++;
                snprintf(fds->file, sizeof(fds->file), "%s", target);
        } else {
                fds->others++;
                snprintf(fds->other, sizeof(fds->other), "%s", target);
        }
}

void proc_fds(pid_t pid, struct proc_fds *ret_fds)
{
        DIR *dir = open_proc_dir(pid, "fd");
        char sockets[16][64];
        struct dirent *entry;

        *ret_fds = (struct proc_fds){ 0 };
        while ((entry = next_entry(dir))) {
                char target[256];
                ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

                ck_assert_int_ge(n, 0);
                target[n] = '\0';
                count_fd(ret_fds, target, sockets, 16);
        }
        closedir(dir);
}

int proc_fd_flags(pid_t pid, int fd)
{
        char path[64], line[128];
        unsigned flags = 0;
        bool found = false;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int) pid, fd);
        file = fopen(path, "re");
        if (!file)
                return -1;
        while (!found && fgets(line, sizeof(line), file))
                found = sscanf(line, "flags: %o", &flags) == 1;
        fclose(file);
        return found ? (int) flags : -1;
}

unsigned proc_fds_inheritable(pid_t pid)
{
        DIR *dir = open_proc_dir(pid, "fd");
        struct dirent *entry;
        unsigned n = 0;

        while ((entry = next_entry(dir))) {
                int fd = atoi(entry->d_name), flags = proc_fd_flags(pid, fd);

                n += fd > 2 && flags >= 0 && !(flags & O_CLOEXEC);
        }
        closedir(dir);
        return n;
}

void proc_maps(pid_t pid, const char *program, struct proc_maps *ret_maps)
{
        FILE *file = open_proc(pid, "maps");
        char line[512];

        *ret_maps = (struct proc_maps){ .first = UINT64_MAX };
        while (fgets(line, sizeof(line), file)) {
                char rights[8], name[256] = "";
                uint64_t first;
                bool known;

                ck_assert_int_ge(sscanf(line, "%" SCNx64 "-%*s %7s %*s %*s %*s %255s", &first, rights, name), 2);
                known = strstr(name, program) || strcmp(name, "[vdso]") == 0 || strcmp(name, "[vsyscall]") == 0;
                if (first < ret_maps->first)
                        ret_maps->first = first;
                ret_maps->writable_executable += rights[1] == 'w' && rights[2] == 'x';
                ret_maps->foreign_executable += rights[2] == 'x' && !known;
        }
        fclose(file);
}

void proc_threads(pid_t pid, unsigned *ret_threads, unsigned *ret_filtered)
{
        DIR *dir = open_proc_dir(pid, "task");
        struct dirent *entry;

        *ret_threads = *ret_filtered = 0;
        while ((entry = next_entry(dir))) {
                ++*ret_threads;
                *ret_filtered += proc_status_number(atoi(entry->d_name), "Seccomp") == 2;
        }
        closedir(dir);
}

uid_t proc_owner(pid_t pid)
{
        char path[64];
        struct stat status;

        snprintf(path, sizeof(path), "/proc/%d/maps", (int) pid);
        ck_assert_int_eq(stat(path, &status), 0);
        return status.st_uid;
}

bool proc_limit_is(pid_t pid, const char *name, uint64_t value)
{
        FILE *file = open_proc(pid, "limits");
        char line[256];
        bool is = false;

        while (fgets(line, sizeof(line), file)) {
                uint64_t soft, hard;

                if (strncmp(line, name, strlen(name)) == 0)
                        is = sscanf(line + strlen(name), "%" SCNu64 " %" SCNu64, &soft, &hard) == 2 && soft == value &&
                             hard == value;
        }
        fclose(file);
        return is;
}
