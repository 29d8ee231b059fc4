/*
 * Memory: nothing is writable and executable, nothing is executable but the program, and only a worker maps what others
 * can write.
 */
#include "inspect.h"

#include "log.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct mappings {
        const struct subject *of;
        struct stat exe;
        unsigned all, writable_executable, foreign_executable, shared, shared_executable;
        char example[128];
};

/* Its own program or, for a broker, which is dynamic, any file; and the kernel's own pages. */
static bool is_known(const struct subject *s, const struct process_mapping *m, const struct stat *exe)
{
        if (strcmp(m->name, "[vdso]") == 0 || strcmp(m->name, "[vsyscall]") == 0)
                return true;
        if (!s->policy)
                return m->inode != 0;
        return m->inode == exe->st_ino && m->device == exe->st_dev;
}

static void count(void *context, const struct process_mapping *m)
{
        struct mappings *to = context;
        bool executable = m->rights[2] == 'x', shared = m->rights[3] == 's';

        to->all++;
        to->writable_executable += executable && m->rights[1] == 'w';
        to->shared += shared && m->rights[1] == 'w';
        to->shared_executable += shared && executable;
        if (!executable || is_known(to->of, m, &to->exe))
                return;
        to->foreign_executable++;
        snprintf(to->example, sizeof(to->example), "%.100s", m->name[0] ? m->name : "anonymous memory");
}

static int read_maps(const struct subject *s, struct mappings *ret)
{
        *ret = (struct mappings){ .of = s };
        if (fstatat(s->process.dir.num, "exe", &ret->exe, 0) < 0)
                return -errno;
        return process_mappings(&s->process, count, ret);
}

void judge_memory(struct inspection *in, const struct subject *s)
{
        bool may_share = s->policy && s->policy->program == POLICY_WORKER;
        struct mappings maps;
        int r = read_maps(s, &maps);

        if (r < 0) {
                report_line(&in->report, REPORT_SHORT, "memory", "its mappings cannot be read: %s", log_errno(r));
                return;
        }
        if (maps.writable_executable)
                report_line(&in->report, REPORT_SHORT, "memory", "%u mappings are writable and executable",
                            maps.writable_executable);
        if (maps.foreign_executable)
                report_line(&in->report, REPORT_SHORT, "memory", "%s is executable", maps.example);
        if (maps.shared_executable)
                report_line(&in->report, REPORT_SHORT, "memory", "%u shared mappings are executable",
                            maps.shared_executable);
        if (maps.shared && !may_share)
                report_line(&in->report, REPORT_SHORT, "memory", "%u mappings are shared and writable", maps.shared);
        if (!maps.writable_executable && !maps.foreign_executable && !maps.shared_executable &&
            (may_share || !maps.shared))
                report_line(&in->report, REPORT_OK, "memory", "%u mappings, %s executable, %u shared", maps.all,
                            s->policy ? "its program alone" : "files alone", maps.shared);
}
