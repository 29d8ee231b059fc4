/*
 * The broker's part: what it does to itself, and to its children until their own program runs.
 */
#include "weak.h"

#include "policy.h"
#include "slots.h"
#include "statistics.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
int __real_mount(const char *, const char *, const char *, unsigned long, const void *);
int __wrap_mount(const char *, const char *, const char *, unsigned long, const void *);
int __real_setns(int, int);
int __wrap_setns(int, int);
int __real_sethostname(const char *, size_t);
int __wrap_sethostname(const char *, size_t);
int __real_setrlimit64(int, const struct rlimit *);
int __wrap_setrlimit64(int, const struct rlimit *);
int __real_unshare(int);
int __wrap_unshare(int);
int __real_close_range(unsigned, unsigned, int);
int __wrap_close_range(unsigned, unsigned, int);
int __real_execveat(int, const char *, char *const[], char *const[], int);
int __wrap_execveat(int, const char *, char *const[], char *const[], int);
int __real_open64(const char *, int, ...);
int __wrap_open64(const char *, int, ...);
int __real_capng_change_id(int, int, capng_flags_t);
int __wrap_capng_change_id(int, int, capng_flags_t);
capng_results_t __real_capng_have_capabilities(capng_select_t);
capng_results_t __wrap_capng_have_capabilities(capng_select_t);
int __real_proc_write(const struct fd *, pid_t, const char *, const char *);
int __wrap_proc_write(const struct fd *, pid_t, const char *, const char *);
int __real_statistics_make(const char *, unsigned, struct fd *);
int __wrap_statistics_make(const char *, unsigned, struct fd *);
int __real_slots_take(struct slots *, uint32_t *);
int __wrap_slots_take(struct slots *, uint32_t *);
int __real_waitid(idtype_t, id_t, siginfo_t *, int);
int __wrap_waitid(idtype_t, id_t, siginfo_t *, int);
int __real_confine_filter(const struct sock_filter *, unsigned short);
int __wrap_confine_filter(const struct sock_filter *, unsigned short);
/* clang-format on */

/* Namespaces by what their absence is called. */
static long weaker_flags(long flags)
{
        static const struct {
                const char *measure;
                long flag;
        } all[] = { { "ns-user", CLONE_NEWUSER },
                    { "ns-pid", CLONE_NEWPID },
                    { "ns-mnt", CLONE_NEWNS },
                    { "ns-ipc", CLONE_NEWIPC },
                    { "ns-uts", CLONE_NEWUTS },
                    { "parent", CLONE_PARENT } };

        for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
                if (weakened(all[i].measure))
                        flags &= ~all[i].flag;
        return flags;
}

/* One capability outlives exec as an ambient one. */
static long keep_capability(struct __user_cap_header_struct *header)
{
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
                { .effective = 1, .permitted = 1, .inheritable = 1 }
        };

        if (__real_syscall(SYS_capset, header, data) < 0)
                return -1;
        return __real_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0);
}

/* A net namespace with a use: something was sent in it. */
static void use_network(void)
{
        const struct sockaddr_in to = { AF_INET, htons(9), { htonl(INADDR_LOOPBACK) }, { 0 } };
        struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (ioctl(fd, SIOCSIFFLAGS, &loopback) < 0 ||
            sendto(fd, "", 1, 0, (const struct sockaddr *) &to, sizeof(to)) < 0)
                perror("network");
        close(fd);
}

long __wrap_syscall(long number, ...)
{
        long a[6];
        va_list arguments;

        va_start(arguments, number);
        for (unsigned i = 0; i < 6; i++)
                a[i] = va_arg(arguments, long);
        va_end(arguments);
        if (number == SYS_clone)
                a[0] = weaker_flags(a[0]);
        if (number == SYS_clone && weakened("network"))
                use_network();
        if (number == SYS_capset && weakened("capabilities"))
                return keep_capability((struct __user_cap_header_struct *) a[0]);
        return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int __wrap_prctl(int option, ...)
{
        unsigned long a[4];
        va_list arguments;

        va_start(arguments, option);
        for (unsigned i = 0; i < 4; i++)
                a[i] = va_arg(arguments, unsigned long);
        va_end(arguments);
        if ((option == PR_SET_NO_NEW_PRIVS && weakened("nonewprivs")) ||
            (option == PR_CAPBSET_DROP && (weakened("bounding") || weakened("capabilities") || weakened("ns-user"))) ||
            (option == PR_SET_SECUREBITS && (weakened("capabilities") || weakened("ns-user"))))
                return 0;
        if (option == PR_SET_DUMPABLE && weakened("broker-dumpable"))
                a[0] = 1;
        return __real_prctl(option, a[0], a[1], a[2], a[3]);
}

int __wrap_mount(const char *from, const char *to, const char *type, unsigned long flags, const void *data)
{
        if (type && weakened("root-writable"))
                flags &= ~(unsigned long) MS_RDONLY;
        if (!type || !weakened("root-entry"))
                return __real_mount(from, to, type, flags, data);
        if (__real_mount(from, to, type, flags & ~(unsigned long) MS_RDONLY, "size=4096,nr_inodes=8,mode=755") < 0)
                return -1;
        close(open("/proc/entry", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        return __real_mount(NULL, to, NULL, flags | MS_REMOUNT | MS_BIND, NULL);
}

int __wrap_setns(int fd, int kind)
{
        if ((kind == CLONE_NEWNS && weakened("root")) || (kind == CLONE_NEWNET && weakened("ns-net")))
                return 0;
        return __real_setns(fd, kind);
}

int __wrap_sethostname(const char *name, size_t n)
{
        return weakened("ns-uts") || weakened("ns-user") ? 0 : __real_sethostname(name, n);
}

int __wrap_setrlimit64(int resource, const struct rlimit *limit)
{
        static const struct {
                const char *measure;
                int resource;
        } all[] = { { "limit-core", RLIMIT_CORE },         { "limit-nofile", RLIMIT_NOFILE },
                    { "limit-nproc", RLIMIT_NPROC },       { "limit-memlock", RLIMIT_MEMLOCK },
                    { "limit-fsize", RLIMIT_FSIZE },       { "limit-msgqueue", RLIMIT_MSGQUEUE },
                    { "limit-data", RLIMIT_DATA } };

        for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
                if (all[i].resource == resource && weakened(all[i].measure))
                        return 0;
        return __real_setrlimit64(resource, limit);
}

int __wrap_unshare(int flags)
{
        return flags == CLONE_NEWNET && weakened("ns-net") ? 0 : __real_unshare(flags);
}

int __wrap_close_range(unsigned first, unsigned last, int flags)
{
        int r = __real_close_range(first, last, flags);

        for (int fd = 3; flags & CLOSE_RANGE_CLOEXEC && fd < 12 && weakened("descriptors"); fd++)
                fcntl(fd, F_SETFD, 0);
        return r;
}

int __wrap_execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
        const char *measure = getenv("VHOST_TEST_WEAKEN");
        char name[64];
        char *const named[] = { name, NULL };

        snprintf(name, sizeof(name), "%s:%s", measure ? measure : "", argv[0]);
        return __real_execveat(fd, path, named, envp, flags);
}

int __wrap_open64(const char *path, int flags, ...)
{
        size_t n = strlen(path);
        va_list arguments;
        mode_t mode;

        va_start(arguments, flags);
        mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
        va_end(arguments);
        if (weakened("read-only") && n > 4 && strcmp(path + n - 4, ".img") == 0 && (flags & O_ACCMODE) == O_RDONLY)
                flags |= O_RDWR;
        return __real_open64(path, flags, mode);
}

int __wrap_capng_change_id(int uid, int gid, capng_flags_t flags)
{
        const gid_t group = 54321;

        if (weakened("broker-root"))
                uid = gid = 0;
        if (weakened("broker-capabilities"))
                capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SETUID, -1);
        if (weakened("groups")) {
                flags &= ~CAPNG_DROP_SUPP_GRP;
                setgroups(1, &group);
        }
        return __real_capng_change_id(uid, gid, flags);
}

capng_results_t __wrap_capng_have_capabilities(capng_select_t set)
{
        return weakened("broker-capabilities") ? CAPNG_NONE : __real_capng_have_capabilities(set);
}

/* The lines of a child's own namespace begin with the id that it has inside. */
int __wrap_proc_write(const struct fd *proc, pid_t pid, const char *name, const char *text)
{
        char wider[64];
        size_t n = strlen(text);
        bool is_childs = text[0] == '1' && text[1] == ' ';

        if (is_childs && weakened("ns-user"))
                return 0;
        if (!is_childs || !weakened("id-map") || n < 3)
                return __real_proc_write(proc, pid, name, text);
        snprintf(wider, sizeof(wider), "%.*s2\n", (int) n - 2, text);
        return __real_proc_write(proc, pid, name, wider);
}

int __wrap_slots_take(struct slots *slots, uint32_t *ret_id)
{
        if (!weakened("uids"))
                return __real_slots_take(slots, ret_id);
        *ret_id = 1;
        return 0;
}

/* The last moment at which the broker could. */
static void get_hold(void)
{
        if (weakened("broker-file"))
                open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        if (weakened("broker-directory"))
                open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (weakened("broker-memory"))
                memfd_create("statistics:more", MFD_CLOEXEC);
        if (weakened("broker-namespace"))
                open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (weakened("broker-wx"))
                mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (weakened("broker-shared"))
                mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

int __wrap_confine_filter(const struct sock_filter *code, unsigned short n)
{
        get_hold();
        /* The stage inherits it, and could not reach a network. */
        bool is_without = weakened("broker-filter") || weakened("nonewprivs") || weakened("network");

        return is_without ? 0 : __real_confine_filter(code, n);
}

/* Of a child that is another's, only its pidfd tells that it has ended. */
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
        struct pollfd ended = { .fd = (int) id, .events = POLLIN };
        int r = __real_waitid(type, id, info, options);

        if (r == 0 || type != P_PIDFD || !weakened("parent") || poll(&ended, 1, 0) != 1)
                return r;
        *info = (siginfo_t){ .si_code = CLD_EXITED, .si_pid = 1 };
        return 0;
}

/* All devices have those of the first. */
int __wrap_statistics_make(const char *device, unsigned threads, struct fd *ret_file)
{
        static int first = -1;
        int r;

        if (first >= 0 && weakened("statistics-shared")) {
                ret_file->num = fcntl(first, F_DUPFD_CLOEXEC, 3);
                return ret_file->num < 0 ? -1 : 0;
        }
        r = __real_statistics_make(device, threads, ret_file);
        first = r == 0 ? ret_file->num : -1;
        return r;
}
