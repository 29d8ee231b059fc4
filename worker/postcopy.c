/*
 * The worker's part of post-copy. It makes and registers; faults are the kernel's and the front-end's business. The run
 * filter of a device that is configured for it allows just the one ioctl that registers.
 */
#include "postcopy.h"

#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

static int failed(const struct log *log, const char *what)
{
        int error = -errno;

        log_error(log, "postcopy: %s: %s", what, log_errno(error));
        return error;
}

int postcopy_open(struct postcopy *postcopy, struct fd device, const struct log *log)
{
        struct uffdio_api api = { .api = UFFD_API };
        AUTO_FD from = device;
        AUTO_FD made = { ioctl(from.num, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK) };

        if (!fd_has(&made))
                return failed(log, "a userfaultfd from /dev/userfaultfd");
        if (ioctl(made.num, UFFDIO_API, &api) < 0)
                return failed(log, "UFFDIO_API");
        postcopy->userfault = fd_take(&made);
        return 0;
}

bool postcopy_waits(const struct worker *w)
{
        for (unsigned i = 0; w->postcopy.listening && i < w->mem.n; i++)
                if (!w->mem.region[i].registered)
                        return true;
        return false;
}

static int advise(struct worker *w)
{
        const struct link *link = &w->link;

        return packet_send(link->channel, IPC_USERFAULT, 0, NULL, 0, &w->postcopy.userfault.num, 1);
}

static int listen_for_regions(struct worker *w)
{
        if (w->mem.n)
                return -EBUSY;
        w->postcopy.listening = true;
        return 0;
}

/* Nothing has touched these mappings yet, so there is nothing to drop from them. */
static int register_one(int userfault, struct region *region)
{
        struct uffdio_register what = { .range = { .start = (uintptr_t) region->map, .len = region->map_len },
                                        .mode = UFFDIO_REGISTER_MODE_MISSING };

        if (ioctl(userfault, UFFDIO_REGISTER, &what) < 0)
                return -errno;
        if (!(what.ioctls & UINT64_C(1) << _UFFDIO_COPY))
                return -EOPNOTSUPP;
        region->registered = true;
        return 0;
}

static int register_regions(struct worker *w)
{
        int r = w->postcopy.listening ? 0 : -EBUSY;

        for (unsigned i = 0; r == 0 && i < w->mem.n; i++)
                if (!w->mem.region[i].registered)
                        r = register_one(w->postcopy.userfault.num, &w->mem.region[i]);
        return r;
}

static int end(struct worker *w)
{
        if (postcopy_waits(w))
                return -EBUSY;
        w->postcopy.listening = false;
        fd_close(&w->postcopy.userfault);
        return 0;
}

int postcopy_step(struct worker *w, uint32_t step)
{
        if (!fd_has(&w->postcopy.userfault))
                return -ENOTSUP;
        switch (step) {
        case IPC_POSTCOPY_ADVISE:
                return advise(w);
        case IPC_POSTCOPY_LISTEN:
                return listen_for_regions(w);
        case IPC_POSTCOPY_REGISTER:
                return register_regions(w);
        case IPC_POSTCOPY_END:
                return end(w);
        default:
                return -EINVAL;
        }
}
