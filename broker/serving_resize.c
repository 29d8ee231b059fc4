/*
 * A disk that changes its size while it is used. First the worker's limit, then the word: who writes beyond its limit
 * is killed.
 */
#include "serving_internal.h"

#include <errno.h>
#include <sys/resource.h>

/*
 * The hard limit was left as it is, for raising that would need a capability over the host. The soft one is ours to
 * raise: our uid owns the range namespace, and so rules what is in it. It is never lowered: a write on its way to the
 * part of the disk that is gone would kill the worker.
 */
static int raise_fsize(pid_t worker, rlim_t fsize)
{
        struct rlimit limit;

        if (prlimit(worker, RLIMIT_FSIZE, NULL, &limit) < 0)
                return -errno;
        if (limit.rlim_cur >= fsize)
                return 0;
        if (limit.rlim_max < fsize)
                return -EFBIG;
        limit.rlim_cur = fsize;
        return prlimit(worker, RLIMIT_FSIZE, &limit, NULL) < 0 ? -errno : 0;
}

void serving_resize(struct serving *serving)
{
        const struct resource *resource = serving->resource;
        const struct ipc_resize resize = { .capacity = resource->block.capacity };
        int r;

        serving->resized = serving->state == SERVING_STARTING;
        if (serving->state != SERVING_UP)
                return;
        r = raise_fsize(serving->child[SERVING_WORKER].pid, serving_worker_fsize(resource));
        if (r == 0)
                r = packet_send(serving->control.num, IPC_RESIZE, 0, &resize, sizeof(resize), NULL, 0);
        if (r < 0)
                log_warning(&serving->log->log, "session %u: keeps the old size of its disk: %s", serving->id,
                            log_errno(r));
}
