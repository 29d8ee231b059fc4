/*
 * Who it is, and what it could do with that: ids, capabilities, no_new_privs, dumpable.
 */
#include "inspect.h"

#include "array.h"
#include "ipc.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* All four ids of a line of status; false: they differ. */
static bool one_id(const char *status, const char *field, uint32_t *ret_id)
{
        uint32_t id[4];
        char text[128];

        if (!status_field(status, field, text, sizeof(text)) ||
            sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32, &id[0], &id[1], &id[2], &id[3]) != 4)
                return false;
        *ret_id = id[0];
        return id[0] == id[1] && id[0] == id[2] && id[0] == id[3];
}

static const struct subject *who_else_has(const struct inspection *in, const struct subject *s, uint32_t uid)
{
        for (size_t i = 0; i < in->n; i++) {
                const struct subject *other = &in->subject[i];
                uint32_t theirs;

                if (other != s && one_id(other->process.status, "Uid", &theirs) && theirs == uid)
                        return other;
        }
        return NULL;
}

static void judge_uid(struct inspection *in, const struct subject *s)
{
        const struct control_broker *range = &s->broker->said;
        uint32_t uid = 0, gid = 0, given = s->device->said.host_id[s->child];
        enum verdict else_ = lacking(s, IPC_LAYER_UIDS);
        const struct subject *other;

        if (!one_id(s->process.status, "Uid", &uid) || !one_id(s->process.status, "Gid", &gid)) {
                report_line(&in->report, REPORT_SHORT, "uid", "its real, effective, saved and file ids differ");
                return;
        }
        other = who_else_has(in, s, uid);
        if (uid == 0 || gid == 0)
                report_line(&in->report, else_, "uid", "uid %" PRIu32 ", gid %" PRIu32 ": root of the host", uid, gid);
        else if (other)
                report_line(&in->report, else_, "uid", "uid %" PRIu32 " is also that of process %d", uid,
                            (int) other->process.pid);
        else if (range->own_uid || uid != given || gid != given || uid - range->id_first >= range->id_count)
                report_line(&in->report, else_, "uid",
                            "uid %" PRIu32 ", gid %" PRIu32 ", not the id that it was given, %" PRIu32, uid, gid,
                            given);
        else
                report_line(&in->report, REPORT_OK, "uid", "uid and gid %" PRIu32 ", nobody else's", uid);
}

static void judge_groups(struct inspection *in, const struct subject *s)
{
        char groups[512];

        if (!status_field(s->process.status, "Groups", groups, sizeof(groups)))
                report_line(&in->report, REPORT_SHORT, "groups", "not readable");
        else if (groups[0])
                report_line(&in->report, lacking(s, IPC_LAYER_UIDS), "groups", "it has supplementary groups: %s",
                            groups);
        else
                report_line(&in->report, REPORT_OK, "groups", "none");
}

/* Exactly one id may exist in its namespace: its own. */
static void judge_map(struct inspection *in, const struct subject *s, const char *file)
{
        FILE *map = process_file(&s->process, file);
        uint64_t inside = 0, outside = 0, count = 0;
        uint32_t id = 0;
        unsigned lines = 0;
        char line[128];

        while (map && fgets(line, sizeof(line), map))
                if (lines++ == 0 &&
                    sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &count) != 3)
                        count = 0;
        if (map)
                fclose(map);
        one_id(s->process.status, strcmp(file, "uid_map") == 0 ? "Uid" : "Gid", &id);
        if (lines == 1 && count == 1 && outside == id && inside != 0)
                report_line(&in->report, REPORT_OK, file, "%" PRIu64 " there is %" PRIu64 " here, no other id exists",
                            inside, outside);
        else
                report_line(&in->report, lacking(s, IPC_LAYER_NAMESPACES), file,
                            "%u lines, the first: %" PRIu64 " %" PRIu64 " %" PRIu64 ": not its own id alone", lines,
                            inside, outside, count);
}

void judge_ids(struct inspection *in, const struct subject *s)
{
        judge_uid(in, s);
        judge_groups(in, s);
        judge_map(in, s, "uid_map");
        judge_map(in, s, "gid_map");
}

static const char *const powers[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };

static void judge_capabilities(struct inspection *in, const struct subject *s)
{
        unsigned short_of = 0;

        for (unsigned i = 0; i < ARRAY_SIZE(powers); i++) {
                uint64_t set = status_number(s->process.status, powers[i], 16);
                bool bounding = strcmp(powers[i], "CapBnd") == 0;

                if (set == 0)
                        continue;
                short_of++;
                /* Nobody without capabilities can empty the bounding set, except in a namespace of its own. */
                report_line(&in->report, bounding ? lacking(s, IPC_LAYER_NAMESPACES) : REPORT_SHORT, "capabilities",
                            "%s is %" PRIx64, powers[i], set);
        }
        if (!short_of)
                report_line(&in->report, REPORT_OK, "capabilities", "all five sets are empty");
}

/* What a program is told by its status that all its threads must have alike. */
static const char *const alike[] = { "Uid",    "Gid",    "Groups", "CapInh",     "CapPrm",  "CapEff",
                                     "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters" };

static bool threads_differ(const struct subject *s, const char *status, const char **ret_field)
{
        for (unsigned i = 0; i < ARRAY_SIZE(alike); i++) {
                char a[512] = "", b[512] = "";

                if (!status_field(s->process.status, alike[i], a, sizeof(a)) ||
                    !status_field(status, alike[i], b, sizeof(b)) || strcmp(a, b) != 0) {
                        *ret_field = alike[i];
                        return true;
                }
        }
        return false;
}

static void judge_threads(struct inspection *in, const struct subject *s)
{
        struct fd dir = { openat(s->process.dir.num, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
        DIR *tasks = fd_has(&dir) ? fdopendir(dir.num) : NULL;
        const char *field = NULL;
        struct dirent *entry;
        unsigned n = 0;

        while (tasks && !field && (entry = readdir(tasks))) {
                char status[PROCESS_STATUS_MAX];

                if (entry->d_name[0] == '.' ||
                    process_thread_status(&s->process, entry->d_name, status, sizeof(status)) < 0)
                        continue; /* a thread that has ended */
                n++;
                threads_differ(s, status, &field);
        }
        if (tasks)
                closedir(tasks);
        else
                fd_close(&dir);
        if (field || n == 0)
                report_line(&in->report, REPORT_SHORT, "threads", "of %u, one differs in %s", n, field ? field : "all");
        else
                report_line(&in->report, REPORT_OK, "threads", "%u, alike in ids, capabilities and filters", n);
}

/* The kernel gives the files of a process that is not dumpable to root. */
static void judge_dumpable(struct inspection *in, const struct subject *s)
{
        struct stat st;

        if (fstatat(s->process.dir.num, "maps", &st, 0) < 0)
                report_line(&in->report, REPORT_SHORT, "dumpable", "not readable: %s", log_errno(errno));
        else if (st.st_uid != 0)
                report_line(&in->report, REPORT_SHORT, "dumpable", "it is: its /proc belongs to uid %u",
                            (unsigned) st.st_uid);
        else
                report_line(&in->report, REPORT_OK, "dumpable", "no: its /proc belongs to root");
}

static void judge_relations(struct inspection *in, const struct subject *s)
{
        uint64_t parent = status_number(s->process.status, "PPid", 10);
        uint64_t tracer = status_number(s->process.status, "TracerPid", 10);

        if (parent != (uint64_t) s->broker->said.pid)
                report_line(&in->report, REPORT_SHORT, "parent", "%" PRIu64 ", not the broker", parent);
        else
                report_line(&in->report, REPORT_OK, "parent", "the broker");
        if (tracer != 0)
                report_line(&in->report, REPORT_SHORT, "tracer", "process %" PRIu64 " traces it", tracer);
}

void judge_powers(struct inspection *in, const struct subject *s)
{
        if (s->policy) {
                judge_relations(in, s);
                judge_capabilities(in, s);
        }
        if (status_number(s->process.status, "NoNewPrivs", 10) != 1)
                report_line(&in->report, REPORT_SHORT, "nonewprivs", "not set");
        else
                report_line(&in->report, REPORT_OK, "nonewprivs", "set");
        judge_threads(in, s);
        judge_dumpable(in, s);
}
