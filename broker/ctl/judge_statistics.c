/*
 * Statistics: of all the memory that workers share with brokers, this one maps its own device's, once, and nothing
 * else.
 */
#include "inspect.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAMED "/memfd:" STATS_NAME

/* A file of a broker's with statistics. */
struct file {
        dev_t device;
        ino_t inode;
        bool own; /* of the device that is looked at */
};

struct files {
        struct file *file;
        size_t n;
        int error;
        char own[CONTROL_NAME + 64]; /* what the kernel calls its device's */
        bool of_own_broker;          /* those that are being noted */
        unsigned own_mapped, others_mapped;
};

bool is_statistics(const char *target)
{
        return strncmp(target, NAMED, strlen(NAMED)) == 0;
}

static void keep(void *context, const char *name, const char *target, const struct stat *file)
{
        struct files *files = context;
        struct file *grown;

        (void) name;
        if (!is_statistics(target))
                return;
        grown = reallocarray(files->file, files->n + 1, sizeof(*grown));
        if (!grown) {
                files->error = -ENOMEM;
                return;
        }
        files->file = grown;
        grown[files->n++] =
                (struct file){ file->st_dev, file->st_ino, files->of_own_broker && strcmp(target, files->own) == 0 };
}

static void look(void *context, const struct process_mapping *mapping)
{
        struct files *files = context;

        for (size_t i = 0; i < files->n; i++) {
                if (files->file[i].inode != mapping->inode || files->file[i].device != mapping->device)
                        continue;
                files->own_mapped += files->file[i].own;
                files->others_mapped += !files->file[i].own;
        }
}

/* Other brokers may end meanwhile; its own must answer. */
static int read_files(const struct inspection *in, const struct subject *s, struct files *files)
{
        const struct subject *own = broker_of(in, s);
        int r = own ? 0 : -ESRCH;

        for (size_t i = 0; r == 0 && i < in->n; i++) {
                const struct subject *broker = &in->subject[i];

                if (broker->device)
                        continue;
                files->of_own_broker = broker == own;
                r = process_descriptors(&broker->process, keep, files);
                if (broker != own)
                        r = 0;
        }
        if (r == 0)
                r = files->error;
        return r < 0 ? r : process_mappings(&s->process, look, files);
}

void judge_statistics(struct inspection *in, const struct subject *s)
{
        struct files files = { 0 };
        int r;

        snprintf(files.own, sizeof(files.own), NAMED "%s (deleted)", s->device->said.name);
        r = read_files(in, s, &files);
        free(files.file);
        if (r < 0)
                report_line(&in->report, REPORT_SHORT, "statistics", "not readable: %s", log_errno(r));
        else if (files.own_mapped == 1 && files.others_mapped == 0)
                report_line(&in->report, REPORT_OK, "statistics", "its own device's alone");
        else
                report_line(&in->report, REPORT_SHORT, "statistics",
                            "it maps its own device's %u times, those of others %u times", files.own_mapped,
                            files.others_mapped);
}
