/*
 * Stage 2 of a confined child. Each step is complete or fails, and a failure ends the child: nothing here falls back.
 * It runs with full capabilities over namespaces that are the child's own, and none over the host.
 */
#include "child.h"

#include "array.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAPS_MOST = 64 }; /* a set is a number of 64 bits */

static const char *const stage_names[] = {
        [CHILD_STAGE_ENTER] = "entering the range namespace",
        [CHILD_STAGE_NET] = "an empty net namespace",
        [CHILD_STAGE_ROOT] = "an empty root",
        [CHILD_STAGE_CLONE] = "namespaces of its own",
        [CHILD_STAGE_CGROUP] = "the device's cgroup",
        [CHILD_STAGE_MAP] = "a uid of its own",
        [CHILD_STAGE_FDS] = "its file descriptors",
        [CHILD_STAGE_HOSTNAME] = "a host name that tells nothing",
        [CHILD_STAGE_LIMITS] = "resource limits",
        [CHILD_STAGE_CAPS] = "dropping capabilities",
        [CHILD_STAGE_EXEC] = "executing its program",
};

const char *child_stage_name(enum child_stage stage)
{
        return (unsigned) stage < ARRAY_SIZE(stage_names) ? stage_names[stage] : "?";
}

/* Must become its own id. No group is left, unless the broker is an ordinary user, who may not drop its own. */
static int take_id(const struct child *child)
{
        if (!child->namespaces)
                return 0;
        if (setresgid(CHILD_INSIDE_ID, CHILD_INSIDE_ID, CHILD_INSIDE_ID) < 0)
                return -errno;
        return setresuid(CHILD_INSIDE_ID, CHILD_INSIDE_ID, CHILD_INSIDE_ID) < 0 ? -errno : 0;
}

/* Must not tell the host's name. */
static int take_hostname(const struct child *child)
{
        return child->namespaces && sethostname("vhost", 5) < 0 ? -errno : 0;
}

/* Must leave 0, 1 and 2 as given, and beyond them only descriptors that exec closes. */
static int keep_fds(const struct child *child)
{
        int high[CHILD_FDS];

        for (int i = 0; i < CHILD_FDS; i++) {
                high[i] = fcntl(child->fd[i], F_DUPFD_CLOEXEC, CHILD_FDS);
                if (high[i] < 0)
                        return -errno;
        }
        for (int i = 0; i < CHILD_FDS; i++)
                if (dup2(high[i], i) < 0)
                        return -errno;
        return close_range(CHILD_FDS, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

static int limit(int resource, rlim_t value, bool soft)
{
        struct rlimit now;

        if (getrlimit(resource, &now) < 0)
                return -errno;
        now.rlim_cur = value < now.rlim_max ? value : now.rlim_max;
        if (!soft)
                now.rlim_max = now.rlim_cur;
        return setrlimit(resource, &now) < 0 ? -errno : 0;
}

/*
 * A heap grown by brk lies far from all else that the process maps and costs three page tables of its own. A soft
 * limit of 0 refuses brk, and the C library maps instead; the kernel then judges mappings by the hard limit alone.
 */
static int refuse_brk(void)
{
        struct rlimit data;

        if (getrlimit(RLIMIT_DATA, &data) < 0)
                return -errno;
        data.rlim_cur = 0;
        return setrlimit(RLIMIT_DATA, &data) < 0 ? -errno : 0;
}

/* Must bound what it can use up, and must leave no core file with guest data in it. */
static int take_limits(const struct child *child)
{
        const struct child_limits *limits = &child->limits;

        const struct {
                int resource;
                rlim_t value;
                bool soft;
        } all[] = {
                { RLIMIT_CORE, 0, false },
                { RLIMIT_NOFILE, limits->nofile, false },
                { RLIMIT_NPROC, limits->nproc, false },
                { RLIMIT_MEMLOCK, limits->memlock, false },
                { RLIMIT_FSIZE, limits->fsize, limits->fsize_grows },
                { RLIMIT_MSGQUEUE, 0, false },
        };

        for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
                int r = limit(all[i].resource, all[i].value, all[i].soft);

                if (r < 0)
                        return r;
        }
        if (child->affinity && sched_setaffinity(0, sizeof(*child->affinity), child->affinity) < 0)
                return -errno;
        return refuse_brk();
}

/*
 * Must drop every capability from the bounding set; without namespaces of our own we hold none that could. The kernel
 * says where they end: not before those that all kernels have.
 */
static int drop_bounding_set(void)
{
        for (int cap = 0; cap < CAPS_MOST; cap++)
                if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
                        return errno == EINVAL && cap > CAP_AUDIT_READ ? 0 : -errno;
        return 0;
}

/* Must hold nothing, must be able to gain nothing, whatever it executes. */
static int drop_capabilities(const struct child *child)
{
        const unsigned long locked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                     SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        if (child->namespaces) {
                int r = drop_bounding_set();

                if (r < 0)
                        return r;
                if (prctl(PR_SET_SECUREBITS, locked, 0, 0, 0) < 0)
                        return -errno;
        }
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -errno;
        return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int default_signals(void)
{
        sigset_t none;

        for (int sig = 1; sig < NSIG; sig++)
                signal(sig, SIG_DFL); /* KILL and STOP refuse; the rest must not inherit an "ignore" */
        sigemptyset(&none);
        return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static int execute(const struct child *child)
{
        char *const arguments[] = { (char *) child->name, NULL };
        char *const environment[] = { NULL };

        umask(077);
        if (setsid() < 0)
                return -errno;
        execveat(child->program, "", arguments, environment, AT_EMPTY_PATH);
        return -errno;
}

int child_prepare(const struct child *child, enum child_stage *ret_stage)
{
        int r = default_signals();

        *ret_stage = CHILD_STAGE_FDS;
        return r < 0 ? r : keep_fds(child);
}

int child_exec(const struct child *child, enum child_stage *ret_stage)
{
        int r;

        *ret_stage = CHILD_STAGE_MAP;
        r = take_id(child);
        if (r < 0)
                return r;
        *ret_stage = CHILD_STAGE_HOSTNAME;
        r = take_hostname(child);
        if (r < 0)
                return r;
        *ret_stage = CHILD_STAGE_LIMITS;
        r = take_limits(child);
        if (r < 0)
                return r;
        *ret_stage = CHILD_STAGE_CAPS;
        r = drop_capabilities(child);
        if (r < 0)
                return r;
        *ret_stage = CHILD_STAGE_EXEC;
        return execute(child);
}
