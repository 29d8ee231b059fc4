/*
 * The broker: what it must not have kept.
 */
#include "inspect.h"

#include "array.h"
#include "ipc.h"
#include "log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What it holds open beside standard input and output, which whoever started it chose. */
struct holdings {
        unsigned all, files, statistics, ranges, roots, nets, groups, other;
        char example[128]; /* the first of `other` */
};

static void judge_uid(struct inspection *in, const struct subject *s)
{
        uint64_t uid = status_number(s->process.status, "Uid", 10);

        if (uid == 0)
                report_line(&in->report, s->broker->said.lacks & IPC_LAYER_UIDS ? REPORT_WEAKER : REPORT_SHORT, "uid",
                            "it is root");
        else
                report_line(&in->report, REPORT_OK, "uid", "%" PRIu64, uid);
}

static void judge_capabilities(struct inspection *in, const struct subject *s)
{
        static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapAmb" };
        uint64_t bounding = status_number(s->process.status, "CapBnd", 16);
        bool good = true;

        for (unsigned i = 0; i < ARRAY_SIZE(sets); i++) {
                uint64_t set = status_number(s->process.status, sets[i], 16);

                if (set == 0)
                        continue;
                good = false;
                report_line(&in->report, REPORT_SHORT, "capabilities", "%s is %" PRIx64, sets[i], set);
        }
        if (good)
                report_line(&in->report, REPORT_OK, "capabilities",
                            "none; the bounding set is %" PRIx64 ", which nothing can be gained from", bounding);
}

static bool is_anonymous(const char *target)
{
        static const char *const known[] = { "anon_inode:[eventpoll]", "anon_inode:[timerfd]", "anon_inode:[signalfd]",
                                             "anon_inode:[eventfd]",   "anon_inode:[pidfd]",   "anon_inode:inotify" };

        for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
                if (strcmp(target, known[i]) == 0)
                        return true;
        return strncmp(target, "pidfd:", 6) == 0;
}

static void hold(void *context, const char *name, const char *target, const struct stat *file)
{
        struct holdings *to = context;
        const char *last = strrchr(target, '/');

        if (atoi(name) <= STDERR_FILENO)
                return;
        to->all++;
        if (S_ISSOCK(file->st_mode) || S_ISFIFO(file->st_mode) || is_anonymous(target) ||
            (S_ISCHR(file->st_mode) && (strcmp(target, "/dev/null") == 0 || strcmp(target, "/dev/userfaultfd") == 0)))
                return;
        if (strncmp(target, "user:[", 6) == 0) {
                to->ranges++;
        } else if (strncmp(target, "mnt:[", 5) == 0) {
                to->roots++;
        } else if (strncmp(target, "net:[", 5) == 0) {
                to->nets++;
        } else if (is_statistics(target)) {
                to->statistics++;
        } else if (last && strcmp(last, "/cgroup.procs") == 0) {
                to->groups++;
        } else if ((S_ISREG(file->st_mode) || S_ISBLK(file->st_mode)) && strncmp(target, "/memfd:", 7) != 0) {
                to->files++;
        } else if (to->other++ == 0) {
                snprintf(to->example, sizeof(to->example), "%.100s", target);
        }
}

/* Of files: the two programs it starts, the lock of its range of ids, and a disk for each device that has one. */
static void judge_holdings(struct inspection *in, const struct subject *s)
{
        unsigned devices = 0, files = 3;
        struct holdings has = { 0 };
        int r = process_descriptors(&s->process, hold, &has);

        for (size_t i = 0; i < in->brokers->n_devices; i++) {
                const struct known_device *device = &in->brokers->device[i];

                if (device->broker != s->broker)
                        continue;
                devices++;
                files += device->said.flags & CONTROL_HAS_DISK ? 1 : 0;
        }
        if (r < 0)
                report_line(&in->report, REPORT_SHORT, "descriptors", "not readable: %s", log_errno(r));
        else if (has.other)
                report_line(&in->report, REPORT_SHORT, "descriptors", "%u of a kind that it has no use for: %s",
                            has.other, has.example);
        else if (has.files > files)
                report_line(&in->report, REPORT_SHORT, "descriptors", "%u files; programs, lock and disks are %u",
                            has.files, files);
        else if (has.statistics > devices || has.groups > devices || has.nets > devices || has.ranges > 1 ||
                 has.roots > 1)
                report_line(&in->report, REPORT_SHORT, "descriptors",
                            "%u statistics, %u cgroups, %u net, %u user, %u mount namespaces for %u devices",
                            has.statistics, has.groups, has.nets, has.ranges, has.roots, devices);
        else
                report_line(&in->report, REPORT_OK, "descriptors", "%u, of them %u files for %u devices", has.all,
                            has.files, devices);
}

void judge_broker(struct inspection *in, struct subject *s)
{
        judge_program(in, s);
        judge_uid(in, s);
        judge_capabilities(in, s);
        judge_powers(in, s);
        judge_filters(in, s);
        judge_holdings(in, s);
        judge_memory(in, s);
}
