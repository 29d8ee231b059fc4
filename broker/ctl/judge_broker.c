/*
 * The broker: what it must not have kept.
 */
#include "inspect.h"

#include "array.h"
#include "ipc.h"

#include <inttypes.h>

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

void judge_broker(struct inspection *in, struct subject *s)
{
        judge_program(in, s);
        judge_uid(in, s);
        judge_capabilities(in, s);
        judge_powers(in, s);
        judge_filters(in, s);
        judge_memory(in, s);
}
