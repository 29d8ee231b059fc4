/*
 * vhostctl inspect: opens all processes that brokers name, makes sure that they are the ones meant, and has them
 * judged. What a broker says is only where to look: what is demanded stands in policy/, what is there says the kernel.
 */
#include "inspect.h"

#include "ctl.h"
#include "log.h"
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const child_names[CONTROL_CHILDREN] = { "session", "worker" };

const struct subject *partner_of(const struct inspection *in, const struct subject *s)
{
        for (size_t i = 0; i < in->n; i++)
                if (in->subject[i].device == s->device && &in->subject[i] != s)
                        return &in->subject[i];
        return NULL;
}

const struct subject *broker_of(const struct inspection *in, const struct subject *s)
{
        for (size_t i = 0; i < in->n; i++)
                if (!in->subject[i].device && in->subject[i].broker == s->broker)
                        return &in->subject[i];
        return NULL;
}

bool is_of_the_host(const struct inspection *in, const struct subject *s, unsigned ns)
{
        return s->process.ns[ns] == in->own.ns[ns] || s->process.ns[ns] == in->first.ns[ns];
}

enum verdict lacking(const struct subject *s, uint32_t layer)
{
        return s->device && s->device->said.may_lack & layer ? REPORT_WEAKER : REPORT_SHORT;
}

static int add_broker(struct inspection *in, struct broker *broker)
{
        struct subject *s = &in->subject[in->n];

        *s = (struct subject){ .broker = broker };
        if (process_open(broker->said.pid, &s->process) < 0)
                return -ESRCH;
        in->n++;
        return 0;
}

/* A process that the broker still names after we opened it was its child all the time: only it could have reaped it. */
static int add_children(struct inspection *in, struct known_device *device)
{
        static const struct policy_process *const policies[CONTROL_CHILDREN] = {
                [CONTROL_SESSION] = &policy_process_session, [CONTROL_WORKER] = &policy_process_worker
        };
        struct known_device again = *device;
        size_t before = in->n;
        int r;

        for (unsigned i = 0; i < CONTROL_CHILDREN; i++) {
                struct subject *s = &in->subject[in->n];

                *s = (struct subject){ .broker = device->broker, .device = device, .child = i, .policy = policies[i] };
                r = device->said.pid[i] > 0 ? process_open(device->said.pid[i], &s->process) : -ESRCH;
                if (r == 0)
                        in->n++;
                else if (r != -ESRCH)
                        return r;
        }
        r = brokers_refresh(in->brokers, &again);
        if (r == 0 && again.said.session == device->said.session &&
            memcmp(again.said.pid, device->said.pid, sizeof(again.said.pid)) == 0 &&
            in->n - before == (size_t) (device->said.pid[0] > 0) + (device->said.pid[1] > 0)) {
                device->said = again.said;
                return 0;
        }
        while (in->n > before)
                process_done(&in->subject[--in->n].process);
        device->said = again.said;
        return r < 0 ? r : -EAGAIN;
}

/* A device that changes hands just now is asked for again. */
static int add_device(struct inspection *in, struct known_device *device)
{
        int r = -EAGAIN;

        for (unsigned i = 0; i < 5 && r == -EAGAIN; i++)
                r = add_children(in, device);
        device->elusive = r == -EAGAIN;
        return device->elusive ? 0 : r;
}

/* Two for each device in use, all at once: so that one can be compared with all others. Too few will be told. */
static void raise_descriptors(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static int gather(struct inspection *in)
{
        struct brokers *brokers = in->brokers;
        int r;

        raise_descriptors();
        r = process_open(getpid(), &in->own);
        in->subject =
                calloc(brokers->n + CONTROL_CHILDREN * brokers->n_devices + CONTROL_CHILDREN, sizeof(*in->subject));
        if (!in->subject)
                return -ENOMEM;
        if (process_open(1, &in->first) < 0)
                in->first.dir = FD_NONE;
        for (unsigned i = 0; r == 0 && i < brokers->n; i++)
                r = add_broker(in, &brokers->broker[i]);
        for (size_t i = 0; r == 0 && i < brokers->n_devices; i++)
                r = add_device(in, &brokers->device[i]);
        return r;
}

static void judge_child(struct inspection *in, struct subject *s)
{
        judge_program(in, s);
        judge_ids(in, s);
        judge_powers(in, s);
        judge_filters(in, s);
        judge_invisible(in, s);
        judge_namespaces(in, s);
        judge_root(in, s);
        judge_limits(in, s);
        judge_descriptors(in, s);
        judge_memory(in, s);
        if (s->child == CONTROL_WORKER)
                judge_statistics(in, s);
}

static void judge(struct inspection *in, struct subject *s)
{
        report_process(&in->report, s->device ? s->device->said.name : "(broker)",
                       s->device ? child_names[s->child] : "broker", (int) s->process.pid);
        if (s->device)
                judge_child(in, s);
        else
                judge_broker(in, s);
        judge_cgroup(in, s);
        if (!process_lives(&s->process))
                report_line(&in->report, REPORT_SHORT, "alive", "it has ended meanwhile");
        report_process_end(&in->report);
}

static bool is_wanted(const struct ctl *ctl, const struct inspection *in, const struct subject *s)
{
        if (!ctl->device)
                return true;
        if (s->device)
                return strcmp(s->device->said.name, ctl->device) == 0;
        for (size_t i = 0; i < in->brokers->n_devices; i++) /* the broker of such a device */
                if (in->brokers->device[i].broker == s->broker &&
                    strcmp(in->brokers->device[i].said.name, ctl->device) == 0)
                        return true;
        return false;
}

static bool is_asked_for(const struct ctl *ctl, const struct known_device *device)
{
        return !ctl->device || strcmp(device->said.name, ctl->device) == 0;
}

static bool is_used(const struct ctl *ctl, const struct inspection *in)
{
        for (size_t i = 0; i < in->n; i++)
                if (in->subject[i].device && is_wanted(ctl, in, &in->subject[i]))
                        return true;
        for (size_t i = 0; i < in->brokers->n_devices; i++)
                if (in->brokers->device[i].elusive && is_asked_for(ctl, &in->brokers->device[i]))
                        return true;
        return false;
}

static void judge_elusive(struct inspection *in, const struct known_device *device)
{
        report_process(&in->report, device->said.name, child_names[CONTROL_SESSION], device->said.pid[CONTROL_SESSION]);
        report_line(&in->report, REPORT_SHORT, "alive", "its processes are others each time: not looked at");
        report_process_end(&in->report);
}

static enum ctl_exit judge_all(const struct ctl *ctl, struct inspection *in)
{
        if (ctl->device && !is_used(ctl, in)) {
                fprintf(stderr, "vhostctl: %s: not in use: there is no session and no worker to look at\n",
                        ctl->device);
                return CTL_NOT_RUNNING;
        }
        report_begin(&in->report, ctl->json, ctl->quiet);
        for (size_t i = 0; i < in->n; i++)
                if (is_wanted(ctl, in, &in->subject[i]))
                        judge(in, &in->subject[i]);
        for (size_t i = 0; i < in->brokers->n_devices; i++)
                if (in->brokers->device[i].elusive && is_asked_for(ctl, &in->brokers->device[i]))
                        judge_elusive(in, &in->brokers->device[i]);
        report_end(&in->report);
        return in->report.shortfalls ? CTL_SHORTFALL : CTL_OK;
}

enum ctl_exit ctl_inspect(const struct ctl *ctl, struct brokers *brokers)
{
        struct inspection in = {
                .brokers = brokers, .no_stop = ctl->no_stop, .own.dir = FD_NONE, .first.dir = FD_NONE
        };
        enum ctl_exit status = CTL_FAILED;
        int r;

        if (geteuid() != 0) {
                fprintf(stderr, "vhostctl: inspect: only root can look into the processes\n");
                return CTL_NO_PERMISSION;
        }
        r = gather(&in);
        if (r == 0)
                status = judge_all(ctl, &in);
        else
                fprintf(stderr, "vhostctl: inspect: %s\n", log_errno(r));
        for (size_t i = 0; i < in.n; i++)
                process_done(&in.subject[i].process);
        process_done(&in.own);
        process_done(&in.first);
        free(in.subject);
        return status;
}
