/*
 * Resource limits against the numbers of policy/.
 */
#include "inspect.h"

#include "log.h"
#include "vhost_user.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Which of the two must not be above; the other limit may be anything. */
enum side { SOFT = 1 << 0, HARD = 1 << 1, BOTH = SOFT | HARD };

struct limits {
        char text[4096];
};

static uint64_t value_of(const char *text)
{
        return strncmp(text, "unlimited", 9) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

static bool find(const struct limits *limits, const char *name, uint64_t *ret_soft, uint64_t *ret_hard)
{
        const char *line = strstr(limits->text, name);
        char soft[32], hard[32];

        if (!line || sscanf(line + strlen(name), "%31s %31s", soft, hard) != 2)
                return false;
        *ret_soft = value_of(soft);
        *ret_hard = value_of(hard);
        return true;
}

static bool judge(struct inspection *in, const struct limits *limits, const char *name, uint64_t most, enum side side)
{
        uint64_t soft, hard;

        if (!find(limits, name, &soft, &hard)) {
                report_line(&in->report, REPORT_SHORT, "limits", "%s is not readable", name);
                return false;
        }
        if ((side & SOFT && soft > most) || (side & HARD && hard > most)) {
                report_line(&in->report, REPORT_SHORT, "limits", "%s: %" PRIu64 ", %" PRIu64 " instead of %" PRIu64,
                            name, soft, hard, most);
                return false;
        }
        return true;
}

uint32_t queues_max_of(const struct subject *s)
{
        const struct policy_device *type = NULL;

        for (size_t i = 0; i < policy_n_devices; i++)
                if (policy_devices[i]->id == s->device->said.type)
                        type = policy_devices[i];
        return type ? type->queues_max : 0;
}

/* What its files may grow to: the in-flight area, or the disk. */
static uint64_t file_size(const struct subject *s, uint32_t queues)
{
        const struct control_device *said = &s->device->said;

        if (s->policy->program == POLICY_SESSION)
                return queues * vu_inflight_bytes(said->queue_size, true);
        return said->flags & CONTROL_BLOCK_DEVICE ? UINT64_MAX : said->file;
}

void judge_limits(struct inspection *in, const struct subject *s)
{
        FILE *file = process_file(&s->process, "limits");
        const struct policy_process *policy = s->policy;
        uint32_t queues = queues_max_of(s), threads = s->device->said.threads;
        enum side grows = policy->program == POLICY_WORKER ? SOFT : BOTH; /* the broker raises it with the disk */
        struct limits limits = { "" };
        bool good;

        if (!file || fread(limits.text, 1, sizeof(limits.text) - 1, file) == 0) {
                report_line(&in->report, REPORT_SHORT, "limits", "not readable: %s", log_errno(errno));
                if (file)
                        fclose(file);
                return;
        }
        fclose(file);
        good = judge(in, &limits, "Max core file size", 0, BOTH);
        good &= judge(in, &limits, "Max open files", policy_count_of(policy->nofile, queues, threads), BOTH);
        good &= judge(in, &limits, "Max processes", policy_count_of(policy->nproc, queues, threads), BOTH);
        good &= judge(in, &limits, "Max locked memory", policy_count_of(policy->memlock_kib, queues, threads) * 1024,
                      BOTH);
        good &= judge(in, &limits, "Max file size", file_size(s, queues), grows);
        good &= judge(in, &limits, "Max msgqueue size", 0, BOTH);
        good &= judge(in, &limits, "Max data size", 0, SOFT);
        if (good)
                report_line(&in->report, REPORT_OK, "limits", "core, files, processes, locked memory, file size, "
                            "message queues, data as the policy says");
}
