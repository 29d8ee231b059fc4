/*
 * Open descriptors by kind against the manifest of policy/.
 */
#include "inspect.h"

#include "ipc.h"
#include "log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { SOCKET, PIPE, EVENTFD, EPOLL, RING, USERFAULT, MEMORY, DISK, OTHER, KINDS };

static const char *const kind_names[KINDS] = { "sockets",      "pipes",  "eventfds", "epolls",        "rings",
                                               "userfaultfds", "memory", "disks",    "of other kinds" };

/* The device's own disk, as the broker saw it. */
struct disk {
        bool known;
        dev_t dev;
        ino_t ino;
};

struct descriptors {
        const struct subject *of, *broker;
        struct disk disk;
        unsigned n[KINDS];
        char other[128]; /* the first of OTHER */
        unsigned writable_disk;
};

static struct disk disk_of(struct inspection *in, const struct subject *s)
{
        const struct subject *broker = broker_of(in, s);
        char path[BROKERS_TEXT_MOST], below[BROKERS_TEXT_MOST + 8];
        struct stat st;

        if (!(s->device->said.flags & CONTROL_HAS_DISK) || !broker ||
            brokers_text(in->brokers, s->device, CONTROL_PATH, path, sizeof(path)) < 0)
                return (struct disk){ 0 };
        snprintf(below, sizeof(below), "%s/%s", path[0] == '/' ? "root" : "cwd", path);
        if (fstatat(broker->process.dir.num, below, &st, 0) < 0)
                return (struct disk){ 0 };
        return (struct disk){ true, st.st_dev, st.st_ino };
}

struct search {
        const struct stat *wanted;
        bool found;
};

static void compare(void *context, const char *name, const char *target, const struct stat *file)
{
        struct search *search = context;

        (void) name;
        (void) target;
        search->found |= file->st_dev == search->wanted->st_dev && file->st_ino == search->wanted->st_ino;
}

/* Is it open in the broker, and so no stranger's? */
static bool broker_has(const struct subject *broker, const struct stat *file)
{
        struct search search = { file, false };

        process_descriptors(&broker->process, compare, &search);
        return search.found;
}

static bool is_writable(const struct subject *s, const char *name)
{
        unsigned flags = O_RDWR;
        char path[64], line[128];
        FILE *info;

        snprintf(path, sizeof(path), "fdinfo/%.20s", name);
        info = process_file(&s->process, path);
        while (info && fgets(line, sizeof(line), info))
                sscanf(line, "flags: %o", &flags);
        if (info)
                fclose(info);
        return (flags & O_ACCMODE) != O_RDONLY;
}

/* A file: the worker's is its disk; a session's are memory, and never one that the broker holds. */
static enum kind kind_of_file(const struct subject *s, const struct subject *broker, const struct disk *disk,
                              const struct stat *st, const char *target)
{
        bool worker = s->policy->program == POLICY_WORKER;

        if (worker && strncmp(target, "/memfd:", 7) != 0)
                return disk->known ? st->st_dev == disk->dev && st->st_ino == disk->ino ? DISK : OTHER
                       : broker && broker_has(broker, st) ? DISK
                                                          : OTHER;
        if (broker && broker_has(broker, st))
                return OTHER;
        return S_ISREG(st->st_mode) ? MEMORY : OTHER;
}

static enum kind kind_of(const struct subject *s, const struct subject *broker, const struct disk *disk,
                         const struct stat *st, const char *target)
{
        if (S_ISSOCK(st->st_mode))
                return SOCKET;
        if (S_ISFIFO(st->st_mode))
                return PIPE;
        if (strcmp(target, "anon_inode:[eventfd]") == 0)
                return EVENTFD;
        if (strcmp(target, "anon_inode:[eventpoll]") == 0)
                return EPOLL;
        if (strcmp(target, "anon_inode:[io_uring]") == 0)
                return RING;
        if (strcmp(target, "anon_inode:[userfaultfd]") == 0)
                return USERFAULT;
        if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
                return kind_of_file(s, broker, disk, st, target);
        return OTHER;
}

static void count(void *context, const char *name, const char *target, const struct stat *file)
{
        struct descriptors *to = context;
        enum kind kind = kind_of(to->of, to->broker, &to->disk, file, target);

        if (kind == OTHER && to->n[OTHER] == 0)
                snprintf(to->other, sizeof(to->other), "%.20s is %.100s", name, target);
        to->n[kind]++;
        to->writable_disk += kind == DISK && is_writable(to->of, name);
}

static int read_descriptors(struct inspection *in, const struct subject *s, struct descriptors *ret)
{
        *ret = (struct descriptors){ .of = s, .broker = broker_of(in, s), .disk = disk_of(in, s) };
        return process_descriptors(&s->process, count, ret);
}

/* The manifest for this device. */
static void most_of(const struct subject *s, uint64_t *ret_most)
{
        const struct control_device *said = &s->device->said;
        const struct policy_process *p = s->policy;
        uint32_t q = said->queues, t = said->threads;

        ret_most[SOCKET] = policy_count_of(p->fds.sockets, q, t);
        ret_most[PIPE] = policy_count_of(p->fds.pipes, q, t);
        ret_most[EVENTFD] = policy_count_of(p->fds.eventfds, q, t);
        ret_most[EPOLL] = policy_count_of(p->fds.epolls, q, t);
        ret_most[RING] = said->engine == IPC_ENGINE_URING ? policy_count_of(p->fds.rings, q, t) : 0;
        ret_most[USERFAULT] = p->program == POLICY_WORKER && said->flags & CONTROL_POSTCOPY;
        ret_most[MEMORY] = policy_count_of(p->fds.memory, q, t);
        ret_most[DISK] = said->flags & CONTROL_HAS_DISK ? p->fds.disks : 0;
        ret_most[OTHER] = 0;
}

static unsigned too_many(const struct subject *s, const struct descriptors *fds, enum kind *ret_kind)
{
        uint64_t most[KINDS];
        unsigned n = 0;

        most_of(s, most);
        for (unsigned i = 0; i < KINDS; i++)
                if (fds->n[i] > most[i]) {
                        *ret_kind = i;
                        n++;
                }
        return n;
}

void judge_descriptors(struct inspection *in, const struct subject *s)
{
        struct descriptors fds;
        enum kind kind = OTHER;
        unsigned wrong = 0;
        int r = 0;

        /* A descriptor that is just being passed on, or was closed half-way, is there at the first look at most. */
        for (unsigned i = 0; i < 3 && r == 0; i++) {
                r = read_descriptors(in, s, &fds);
                wrong = r == 0 ? too_many(s, &fds, &kind) : 0;
                if (!wrong)
                        break;
        }
        if (r < 0)
                report_line(&in->report, REPORT_SHORT, "descriptors", "not readable: %s", log_errno(r));
        else if (wrong)
                report_line(&in->report, REPORT_SHORT, "descriptors", "%u %s, more than the manifest says%s%s",
                            fds.n[kind], kind_names[kind], fds.other[0] ? "; " : "", fds.other);
        else if (s->device->said.flags & CONTROL_READ_ONLY && fds.writable_disk)
                report_line(&in->report, REPORT_SHORT, "descriptors", "the disk is open for writing, ReadOnly=yes");
        else
                report_line(&in->report, REPORT_OK, "descriptors",
                            "%u sockets, %u pipes, %u eventfds, %u epolls, %u rings, %u memory, %u disks",
                            fds.n[SOCKET], fds.n[PIPE], fds.n[EVENTFD], fds.n[EPOLL], fds.n[RING], fds.n[MEMORY],
                            fds.n[DISK]);
}
