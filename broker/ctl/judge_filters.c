/*
 * System call filters, byte by byte, and what follows from them for measures that the kernel shows nobody.
 */
#include "inspect.h"

#include "filter_seen.h"
#include "ipc.h"
#include "log.h"
#include "names.h"

#include <inttypes.h>
#include <string.h>

enum { OURS_MOST = 3 };

/* The filters that a program has, the newest first; those of who started the broker lie below. */
static unsigned expected_of(const struct subject *s, const struct policy_filter **ret_filters)
{
        enum policy_program program = s->policy ? s->policy->program : POLICY_BROKER;
        unsigned n = 0;

        for (int stage = POLICY_RUN; stage >= POLICY_SETUP; stage--)
                for (size_t i = 0; i < policy_n_filters && n < OURS_MOST; i++) {
                        const struct policy_filter *f = &policy_filters[i];

                        if (f->program != program || (int) f->stage != stage)
                                continue;
                        if ((f->device && f->device != s->device->said.type) ||
                            (f->engine && f->engine != s->device->said.engine) ||
                            (program == POLICY_WORKER && f->postcopy != !!(s->device->said.flags & CONTROL_POSTCOPY)))
                                continue;
                        ret_filters[n++] = f;
                        break;
                }
        for (size_t i = 0; i < policy_n_filters && program != POLICY_BROKER && n < OURS_MOST; i++)
                if (policy_filters[i].program == POLICY_BROKER)
                        ret_filters[n++] = &policy_filters[i];
        return n;
}

static bool is_filter(const struct filters_seen *seen, unsigned i, const struct policy_filter *f)
{
        return i < seen->n && seen->filter[i].n == f->n &&
               memcmp(seen->filter[i].code, f->code, f->n * sizeof(*f->code)) == 0;
}

/* A worker is in its setup stage until it is ready, and a ready one must be beyond. */
static void compare(struct inspection *in, struct subject *s, const struct filters_seen *seen)
{
        const struct policy_filter *expected[OURS_MOST];
        unsigned n = expected_of(s, expected);
        char names[128] = "";

        for (unsigned i = 0; i < n; i++) {
                size_t at = strlen(names);

                if (!is_filter(seen, i, expected[i])) {
                        report_line(&in->report, REPORT_SHORT, "filter", "number %u from above is not %s", i + 1,
                                    expected[i]->name);
                        return;
                }
                snprintf(names + at, sizeof(names) - at, "%s%s (%u calls)", i ? " on " : "", expected[i]->name,
                         expected[i]->calls);
        }
        s->filters_proven = true;
        report_line(&in->report, REPORT_OK, "filter", "%s, byte by byte", names);
}

static void identify(struct inspection *in, struct subject *s, unsigned total)
{
        const struct policy_filter *expected[OURS_MOST];
        struct filters_seen seen;
        int r;

        if (in->no_stop) {
                report_line(&in->report, REPORT_NOTE, "filter", "not compared, for that would stop it (--no-stop)");
                return;
        }
        r = filters_read(s->process.pid, total, expected_of(s, expected), &seen);
        if (r < 0) {
                report_line(&in->report, REPORT_SHORT, "filter", "cannot be read: %s", log_errno(r));
                return;
        }
        compare(in, s, &seen);
        filters_done(&seen);
}

void judge_filters(struct inspection *in, struct subject *s)
{
        const struct subject *broker = broker_of(in, s);
        uint64_t mode = status_number(s->process.status, "Seccomp", 10);
        uint64_t total = status_number(s->process.status, "Seccomp_filters", 10);
        const struct policy_filter *expected[OURS_MOST];
        uint64_t below = broker ? status_number(broker->process.status, "Seccomp_filters", 10) : 0;
        unsigned own = expected_of(s, expected) - 1; /* the broker's is counted in its own number */

        if (mode != 2 || total == UINT64_MAX) {
                report_line(&in->report, REPORT_SHORT, "seccomp", "no filter: mode %" PRIu64, mode);
                return;
        }
        if (s->policy && broker && total != below + own)
                report_line(&in->report, REPORT_SHORT, "seccomp", "%" PRIu64 " filters instead of %" PRIu64, total,
                            below + own);
        else
                report_line(&in->report, REPORT_OK, "seccomp", "%" PRIu64 " filters", total);
        identify(in, s, (unsigned) (total < FILTERS_MOST ? total : FILTERS_MOST));
}

/*
 * No record of the kernel shows landlock or memory-deny-write-execute of another process. What can be shown: the
 * program is ours and its code unchanged, and it loads its own filters only after both (sandbox.c).
 */
void judge_invisible(struct inspection *in, const struct subject *s)
{
        static const uint32_t layers[] = { IPC_LAYER_LANDLOCK, IPC_LAYER_MDWE };

        for (unsigned i = 0; i < 2; i++) {
                const char *name = layers[i] == IPC_LAYER_LANDLOCK ? "landlock" : "mdwe";

                if (s->device->said.lacks & layers[i])
                        report_line(&in->report, lacking(s, layers[i]), name, "the process says that it is missing");
                else if (in->no_stop && s->program_proven)
                        report_line(&in->report, REPORT_NOTE, name, "not proven without its filters (--no-stop)");
                else if (!s->program_proven || !s->filters_proven)
                        report_line(&in->report, REPORT_SHORT, name,
                                    "not proven: it would follow from program and filter");
                else
                        report_line(&in->report, REPORT_OK, name,
                                    "follows: this program loads these filters only after it (the kernel shows it to "
                                    "nobody)");
        }
}
