/*
 * Giving privilege away. Whoever owns a user namespace and stays in its parent is all-powerful in it: the broker's
 * uid owns the range namespace, and that is all it keeps. It stays in the initial namespace, where peer credentials
 * are readable.
 */
#include "privilege.h"

#include "identity.h"
#include "ipc.h"
#include "range.h"
#include "uid_lock.h"

#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Must leave the broker without any capability and without a way to one. */
static int drop(const struct range_want *ids)
{
        int r = ids->privileged ? identity_become(ids->uid, ids->gid, false) : identity_drop();

        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -errno;
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return -errno;
        return identity_is_bare() ? 0 : -EPERM;
}

/* What a host that makes no user namespaces says; all else may pass, and is no reason to go on without. */
static bool is_refusal(int error)
{
        return error == -EPERM || error == -EACCES || error == -ENOSPC || error == -EINVAL || error == -ENOSYS ||
               error == -EUSERS;
}

/* Without user namespaces there is no confinement to speak of: only a config that says so may go on. */
static int judge_missing(const struct privilege_want *want, int error, const struct log *log, struct privilege *p)
{
        const uint32_t missing = IPC_LAYER_NAMESPACES | IPC_LAYER_UIDS;

        if (!is_refusal(error)) {
                log_error(log, "range namespace: %s", log_errno(error));
                return error;
        }
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

/* What the children begin in. Where there is none and none is needed, *p says so. */
static int make_namespaces(const struct privilege_want *want, const struct range_want *ids, struct range_maker *maker,
                           const struct log *log, struct privilege *p)
{
        int r = range_begin(ids, maker);

        if (r < 0)
                return judge_missing(want, r, log, p);
        r = range_map(ids, maker);
        if (r < 0) {
                log_error(log, "range namespace over ids %u..%u: %s", ids->first, ids->first + ids->count - 1,
                          log_errno(r));
                return r;
        }
        r = range_make_root(maker);
        if (r < 0)
                log_error(log, "an empty root for the children: %s", log_errno(r));
        return r;
}

static int make_and_drop(const struct privilege_want *want, const struct range_want *ids, const struct log *log,
                         struct privilege *p)
{
        struct range_maker maker;
        int r = make_namespaces(want, ids, &maker, log, p);

        if (r == 0) {
                r = drop(ids);
                if (r < 0)
                        log_error(log, "dropping privilege to uid %u: %s", (unsigned) ids->uid, log_errno(r));
        }
        if (r == 0 && !(p->lacks & IPC_LAYER_NAMESPACES)) {
                r = range_open(&maker, &p->range, &p->root);
                if (r < 0)
                        log_error(log, "opening the range namespace: %s", log_errno(r));
        }
        range_end(&maker);
        return r;
}

int privilege_give_away(const struct privilege_want *want, const struct log *log, struct privilege *ret_privilege)
{
        struct privilege p = { .range = FD_NONE, .root = FD_NONE, .lock = FD_NONE, .count = 1 };
        struct range_want ids = { .uid = geteuid(), .gid = getegid(), .count = 1, .privileged = identity_may_choose() };
        int r;

        if (ids.privileged) {
                p.count = want->ids + 1;
                r = uid_lock(want->run_dir, want->uid_base, want->uid_count, p.count, log, &p.lock, &p.first);
                if (r < 0)
                        return r;
                ids.first = p.first;
                ids.count = p.count;
                if (ids.uid == 0) {
                        ids.uid = want->has_user ? want->uid : p.first;
                        ids.gid = want->has_user ? want->gid : p.first;
                }
        } else {
                if (ids.uid == 0 && !(want->may_lack & IPC_LAYER_UIDS)) {
                        log_error(log, "uids: root without SETUID and SETGID would give every child uid 0 "
                                  "(MayLack=uids would go on): EPERM");
                        return -EPERM;
                }
                p.own_uid = true;
                p.first = ids.uid;
                ids.first = ids.uid;
                p.lacks |= IPC_LAYER_UIDS;
        }
        r = make_and_drop(want, &ids, log, &p);
        if (r < 0) {
                fd_close(&p.range);
                fd_close(&p.root);
                fd_close(&p.lock);
                return r;
        }
        if (p.own_uid)
                log_notice(log, "%ssessions and workers share the broker's own uid %u and its groups",
                           ids.privileged ? "" : "not privileged: ", (unsigned) ids.uid);
        *ret_privilege = p;
        return 0;
}
