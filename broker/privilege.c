/*
 * Giving privilege away. Whoever owns a user namespace and stays in its parent is all-powerful in it: the broker's
 * uid owns the range namespace, and that is all it keeps. It stays in the initial namespace, where peer credentials
 * are readable.
 */
#include "privilege.h"

#include "ipc.h"
#include "proc.h"
#include "uid_lock.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The privilege that start-up needs: to give the children ids that are not the broker's. */
static bool may_choose_ids(void)
{
        return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) &&
               capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID);
}

/* Becomes the broker's uid and keeps exactly the capabilities given (a list that -1 ends), or none. */
static int become(uid_t uid, gid_t gid, bool keep_ids)
{
        int flags = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID) ? CAPNG_DROP_SUPP_GRP : CAPNG_NO_FLAG;

        if (!keep_ids && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
                flags |= CAPNG_CLEAR_BOUNDING;
        capng_clear(CAPNG_SELECT_BOTH | CAPNG_SELECT_AMBIENT);
        if (keep_ids)
                capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SETUID, CAP_SETGID, -1);
        return capng_change_id((int) uid, (int) gid, (capng_flags_t) flags) ? -EPERM : 0;
}

/* Runs a step in a process of its own and returns what it returned. */
static int in_helper(int (*step)(void *context), void *context)
{
        int status;
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0)
                _exit(-step(context) & 0xff);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

struct mapping {
        pid_t owner; /* a process in the new namespace */
        uid_t uid;   /* the broker's */
        gid_t gid;
        uint32_t first, count;
};

/* Must hold SETUID and SETGID over the host, as the broker's uid (which the files belong to), and end at once. */
static int map_range(void *context)
{
        const struct mapping *mapping = context;
        char line[64];
        int r = become(mapping->uid, mapping->gid, true);

        if (r < 0)
                return r;
        snprintf(line, sizeof(line), "0 %u %u\n", mapping->first, mapping->count);
        r = proc_write(mapping->owner, "gid_map", line);
        return r < 0 ? r : proc_write(mapping->owner, "uid_map", line);
}

/* What an ordinary user may map: itself. */
static int map_self(uid_t uid, gid_t gid)
{
        char line[64];
        int r = proc_write(getpid(), "setgroups", "deny");

        if (r < 0)
                return r;
        snprintf(line, sizeof(line), "0 %u 1\n", (unsigned) gid);
        r = proc_write(getpid(), "gid_map", line);
        snprintf(line, sizeof(line), "0 %u 1\n", (unsigned) uid);
        return r < 0 ? r : proc_write(getpid(), "uid_map", line);
}

/* The namespace must be owned by the broker's own uid: it is made by a process that has no other. */
static int own_namespace(const struct mapping *mapping, bool privileged)
{
        int r = privileged ? become(mapping->uid, mapping->gid, false) : 0;

        if (r < 0)
                return r;
        if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 || unshare(CLONE_NEWUSER) < 0)
                return -errno;
        if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
                return -errno;
        return privileged ? 0 : map_self(mapping->uid, mapping->gid);
}

/* Starts the process that makes the namespace and holds it until `done` hangs up. */
static int start_owner(struct mapping *mapping, bool privileged, struct fd *ret_done)
{
        int ready[2], done[2];
        int32_t result = -ECHILD;

        if (pipe2(ready, O_CLOEXEC) < 0)
                return -errno;
        if (pipe2(done, O_CLOEXEC) < 0) {
                result = -errno;
                close(ready[0]);
                close(ready[1]);
                return result;
        }
        mapping->owner = fork();
        if (mapping->owner == 0) {
                char byte;

                close(done[1]);
                result = own_namespace(mapping, privileged);
                if (write(ready[1], &result, sizeof(result)) == sizeof(result))
                        while (read(done[0], &byte, 1) < 0 && errno == EINTR)
                                ;
                _exit(0);
        }
        close(ready[1]);
        close(done[0]);
        ret_done->num = done[1];
        if (mapping->owner < 0 || read(ready[0], &result, sizeof(result)) != sizeof(result))
                result = -ECHILD;
        close(ready[0]);
        return result;
}

static int open_namespace(pid_t owner, struct fd *ret_range)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/ns/user", (int) owner);
        ret_range->num = open(path, O_RDONLY | O_CLOEXEC);
        return ret_range->num < 0 ? -errno : 0;
}

/* Must leave the broker without any capability and without a way to one. */
static int drop(const struct mapping *mapping, bool privileged)
{
        if (privileged) {
                int r = become(mapping->uid, mapping->gid, false);

                if (r < 0)
                        return r;
        } else {
                capng_clear(CAPNG_SELECT_BOTH | CAPNG_SELECT_AMBIENT);
                if (capng_apply(CAPNG_SELECT_CAPS))
                        return -EPERM;
        }
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -errno;
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return -errno;
        if (capng_get_caps_process() || capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
                return -EPERM;
        return 0;
}

/* Without user namespaces there is no confinement to speak of: only a config that says so may go on. */
static int judge_missing(const struct privilege_want *want, int error, const struct log *log, struct privilege *p)
{
        const uint32_t missing = IPC_LAYER_NAMESPACES | IPC_LAYER_UIDS;

        if ((want->may_lack & missing) != missing) {
                log_error(log, "namespaces: this host makes no user namespace for us (MayLack=namespaces uids would go "
                          "on without): %s", log_errno(error));
                return error;
        }
        log_warning(log, "namespaces: none can be made, every device's config agrees to go without: %s",
                    log_errno(error));
        p->lacks |= missing;
        p->own_uid = true;
        return 0;
}

static int make_range(const struct privilege_want *want, struct mapping *mapping, bool privileged,
                      const struct log *log, struct privilege *p)
{
        AUTO_FD done = FD_NONE;
        int r = start_owner(mapping, privileged, &done);

        if (r < 0)
                r = judge_missing(want, r, log, p);
        else if (privileged)
                r = in_helper(map_range, mapping);
        if (r < 0 && !p->lacks)
                log_error(log, "range namespace over ids %u..%u: %s", mapping->first,
                          mapping->first + mapping->count - 1, log_errno(r));
        if (r == 0) {
                r = drop(mapping, privileged);
                if (r < 0)
                        log_error(log, "dropping privilege to uid %u: %s", (unsigned) mapping->uid, log_errno(r));
        }
        if (r == 0 && !(p->lacks & IPC_LAYER_NAMESPACES)) {
                r = open_namespace(mapping->owner, &p->range);
                if (r < 0)
                        log_error(log, "opening the range namespace: %s", log_errno(r));
        }
        fd_close(&done);
        if (mapping->owner > 0)
                waitpid(mapping->owner, NULL, 0);
        return r;
}

int privilege_give_away(const struct privilege_want *want, const struct log *log, struct privilege *ret_privilege)
{
        struct privilege p = { .range = FD_NONE, .lock = FD_NONE, .count = 1 };
        struct mapping mapping = { .uid = geteuid(), .gid = getegid(), .count = 1 };
        bool privileged = may_choose_ids();
        int r;

        if (privileged) {
                p.count = want->ids + 1;
                r = uid_lock(want->run_dir, want->uid_base, want->uid_count, p.count, log, &p.lock, &p.first);
                if (r < 0)
                        return r;
                mapping.first = p.first;
                mapping.count = p.count;
                if (mapping.uid == 0) {
                        mapping.uid = want->has_user ? want->uid : p.first;
                        mapping.gid = want->has_user ? want->gid : p.first;
                }
        } else {
                if (mapping.uid == 0 && !(want->may_lack & IPC_LAYER_UIDS)) {
                        log_error(log, "uids: root without SETUID and SETGID would give every child uid 0 "
                                  "(MayLack=uids would go on): EPERM");
                        return -EPERM;
                }
                p.own_uid = true;
                p.first = mapping.uid;
                mapping.first = mapping.uid;
                p.lacks |= IPC_LAYER_UIDS;
        }
        r = make_range(want, &mapping, privileged, log, &p);
        if (r < 0) {
                fd_close(&p.range);
                fd_close(&p.lock);
                return r;
        }
        if (p.own_uid)
                log_notice(log, "not privileged: sessions and workers share the broker's own uid %u and its groups",
                           p.first);
        *ret_privilege = p;
        return 0;
}
