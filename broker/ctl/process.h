/*
 * A process as the kernel's records show it. Everything is read below one open /proc/PID, which goes on to mean this
 * process and no later one of the same number.
 */
#pragma once

#include "fd.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { PROCESS_STATUS_MAX = 4096, PROCESS_TARGET_MAX = 1024, PROCESS_NAMESPACES = 7 };

/* As in /proc/PID/ns; cgroup is the last. */
extern const char *const process_namespaces[PROCESS_NAMESPACES];

struct process {
        pid_t pid;
        struct fd dir;
        char status[PROCESS_STATUS_MAX];
        uint64_t ns[PROCESS_NAMESPACES]; /* inode numbers; 0: not readable */
};

/* -ESRCH: there is none; -EACCES. The caller releases it with process_done. */
int process_open(pid_t pid, struct process *ret_process);
void process_done(struct process *process);

/* Has it not ended? */
bool process_lives(const struct process *process);

/* A file of it for reading; NULL with errno. */
FILE *process_file(const struct process *process, const char *name);

/* One open descriptor: its number as text, what its link in /proc/PID/fd says, cut if too long, and the file itself. */
typedef void process_descriptor(void *context, const char *name, const char *target, const struct stat *file);

/* Calls `each` for all that it has open; what is closed meanwhile is left out. -errno. */
int process_descriptors(const struct process *process, process_descriptor *each, void *context);

/* One line of its maps. */
struct process_mapping {
        char rights[8], name[256]; /* as there, cut if too long; name: up to the first blank */
        dev_t device;
        ino_t inode; /* 0: anonymous */
};

typedef void process_mapping_seen(void *context, const struct process_mapping *mapping);

/* Calls `each` for all that it has mapped. -ESRCH: nothing, it has ended; -errno. */
int process_mappings(const struct process *process, process_mapping_seen *each, void *context);

/* A field of a status text, "Uid" for example, without the name and blanks around; false: there is none. */
bool status_field(const char *status, const char *field, char *ret_text, size_t size);

/* The same as a number; UINT64_MAX: there is none. */
uint64_t status_number(const char *status, const char *field, int base);

/* Reads the status of one of its threads. -errno. */
int process_thread_status(const struct process *process, const char *thread, char *ret_status, size_t size);
