/*
 * What the kernel says of a process, for root on the host. Each function fails the test if /proc does not answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A field of /proc/PID/status, "Uid" for example: its text without the name, tab or newline. */
void proc_status(pid_t pid, const char *field, char *ret_text, size_t size);

/* The same as a number: hexadecimal (capabilities) or decimal. */
uint64_t proc_status_hex(pid_t pid, const char *field);
uint64_t proc_status_number(pid_t pid, const char *field);

/* Inode of /proc/PID/ns/NAME. */
uint64_t proc_namespace(pid_t pid, const char *name);

/* Entries of its root directory, without . and .. */
unsigned proc_root_entries(pid_t pid);

/* Lines of /proc/PID/mountinfo that say ro; ret_mounts: of all. */
unsigned proc_readonly_mounts(pid_t pid, unsigned *ret_mounts);

/* Open descriptors by kind. */
struct proc_fds {
        unsigned sockets; /* distinct ones */
        unsigned pipes, files, eventfds, epolls, rings, others;
        char file[256]; /* the last of `files` */
        char other[256];
};
void proc_fds(pid_t pid, struct proc_fds *ret_fds);

/* Descriptors that exec would keep (no CLOEXEC), beside 0 to 2, which every program may count on. */
unsigned proc_fds_inheritable(pid_t pid);

/* Flags of one descriptor as open(2) has them, O_CLOEXEC among them; -1: there is none of that number. */
int proc_fd_flags(pid_t pid, int fd);

/* Mappings that are writable and executable, and executable ones of anything but `program` and the vdso. */
struct proc_maps {
        unsigned writable_executable, foreign_executable;
        uint64_t first; /* address of the lowest one */
};
void proc_maps(pid_t pid, const char *program, struct proc_maps *ret_maps);

/* Threads, and those among them that seccomp filters (mode 2). */
void proc_threads(pid_t pid, unsigned *ret_threads, unsigned *ret_filtered);

/* Owner of /proc/PID: root exactly if it is not dumpable. */
uid_t proc_owner(pid_t pid);

/* Soft and hard limit named as in /proc/PID/limits are both `value`? */
bool proc_limit_is(pid_t pid, const char *name, uint64_t value);
