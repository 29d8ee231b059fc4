/*
 * Cgroups: where the broker makes one for each device, which its open descriptors show, session and worker must be in
 * theirs, and that must limit how many tasks they are.
 */
#include "inspect.h"

#include "log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = PROCESS_TARGET_MAX, NAME_BYTES = CONTROL_NAME + 32 };

/* As the kernel names it below the root of the unified hierarchy. */
static bool own_cgroup(const struct subject *s, char *ret_path, size_t size)
{
        FILE *file = process_file(&s->process, "cgroup");
        char line[PATH_BYTES];
        bool found = false;

        while (file && !found && fgets(line, sizeof(line), file)) {
                found = strncmp(line, "0::", 3) == 0;
                if (found)
                        snprintf(ret_path, size, "%.*s", (int) strcspn(line + 3, "\n"), line + 3);
        }
        if (file)
                fclose(file);
        return found;
}

static bool ends_in(const char *text, const char *end)
{
        size_t n = strlen(text), m = strlen(end);

        return n >= m && strcmp(text + n - m, end) == 0;
}

struct search {
        char procs[NAME_BYTES], *path; /* what it ends in; what is found */
        size_t size;
        bool found;
};

static void compare(void *context, const char *name, const char *target, const struct stat *file)
{
        struct search *search = context;

        (void) name;
        (void) file;
        if (search->found || !ends_in(target, search->procs))
                return;
        search->found = true;
        snprintf(search->path, search->size, "%.*s", (int) (strlen(target) - strlen("/cgroup.procs")), target);
}

/* The directory of the device's cgroup, as the broker holds it open; false: it made none. */
static bool made_cgroup(const struct subject *broker, const char *device, char *ret_path, size_t size)
{
        struct search search = { .path = ret_path, .size = size };

        snprintf(search.procs, sizeof(search.procs), "/device-%s/cgroup.procs", device);
        process_descriptors(&broker->process, compare, &search);
        return search.found;
}

/* Does `own` name that directory? What stands before it there must be where the hierarchy is mounted. */
static bool is_same(const struct subject *broker, const char *made, const char *own)
{
        char below[PATH_BYTES + 8], above[PATH_BYTES + 16];
        struct stat mount, parent;

        if (!ends_in(made, own))
                return false;
        snprintf(below, sizeof(below), "root%.*s", (int) (strlen(made) - strlen(own)), made);
        snprintf(above, sizeof(above), "%s/..", below);
        return fstatat(broker->process.dir.num, below, &mount, 0) == 0 &&
               fstatat(broker->process.dir.num, above, &parent, 0) == 0 && mount.st_dev != parent.st_dev;
}

/* Its pids.max; UINT64_MAX: there is no limit, or it cannot be read. */
static uint64_t tasks_of(const struct subject *broker, const char *made)
{
        char path[PATH_BYTES + 32], text[32] = "";
        struct fd file;

        snprintf(path, sizeof(path), "root%s/pids.max", made);
        file.num = openat(broker->process.dir.num, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (!fd_has(&file) || read(file.num, text, sizeof(text) - 1) <= 0 || text[0] < '0' || text[0] > '9')
                text[0] = '\0';
        fd_close(&file);
        return text[0] ? strtoull(text, NULL, 10) : UINT64_MAX;
}

static void judge_made(struct inspection *in, const struct subject *s, const char *made, const char *own)
{
        const struct subject *broker = broker_of(in, s);
        uint64_t most = POLICY_SESSION_TASKS +
                        policy_count_of(policy_process_worker.nproc, queues_max_of(s), s->device->said.threads);
        bool same = is_same(broker, made, own);
        uint64_t tasks =
                same ? tasks_of(broker, made) : UINT64_MAX; /* a broker that lies must not choose what we open */

        if (!same)
                report_line(&in->report, REPORT_SHORT, "cgroup", "it is in %s, not in %s", own, made);
        else if (tasks == UINT64_MAX)
                report_line(&in->report, REPORT_SHORT, "cgroup", "no limit of tasks in %s", own);
        else if (tasks > most)
                report_line(&in->report, REPORT_SHORT, "cgroup", "%" PRIu64 " tasks in %s instead of %" PRIu64, tasks,
                            own, most);
        else
                report_line(&in->report, REPORT_OK, "cgroup", "%s, at most %" PRIu64 " tasks", own, tasks);
}

void judge_cgroup(struct inspection *in, const struct subject *s)
{
        const struct subject *broker = s->device ? broker_of(in, s) : NULL;
        char made[PATH_BYTES], own[PATH_BYTES];

        if (!own_cgroup(s, own, sizeof(own)))
                report_line(&in->report, REPORT_NOTE, "cgroup",
                            "not readable, or this kernel has no unified hierarchy");
        else if (broker && made_cgroup(broker, s->device->said.name, made, sizeof(made)))
                judge_made(in, s, made, own);
        else if (s->device)
                report_line(&in->report, REPORT_NOTE, "cgroup", "%s: its broker makes none for devices", own);
        else if (strstr(own, "/device-"))
                report_line(&in->report, REPORT_SHORT, "cgroup", "%s is a device's", own);
        else
                report_line(&in->report, REPORT_NOTE, "cgroup", "%s", own);
}
