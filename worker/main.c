/*
 * vhost-worker: the virtqueues of one device. Started by the broker with nothing but its channel, on all three
 * standard descriptors; ends when that hangs up.
 */
#include "worker.h"

#include "sandbox.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { CHANNEL = 0 };

static int start(struct worker *w, struct packet *packet)
{
        struct ipc_device device;
        uint32_t lacks;
        int r;

        r = link_receive_device(&w->link, packet);
        if (r < 0) {
                log_error(&w->log, "opening packet: %s", log_errno(r));
                return r;
        }
        device = *(const struct ipc_device *) packet->body;
        r = sandbox_enter(&device, &w->log, &lacks);
        if (r == 0)
                r = worker_set_up(w, device_of(device.device), &device, packet);
        if (r == 0)
                r = sandbox_narrow(&device, w->face.engine, &w->log);
        packet_done(packet);
        if (r == 0)
                link_ready(w, lacks);
        return r;
}

int main(void)
{
        struct worker w = { .log = { .sink = link_log, .context = &w.link, .most = LOG_LEVEL_INFO } };
        struct packet packet = { 0 };

        signal(SIGPIPE, SIG_IGN); /* a call may be a pipe or a socket without a reader */
#ifdef __GLIBC__
        mallopt(M_ARENA_MAX, 1); /* others have one anyway */
#endif
        prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* or rooms that are filled page by page cost 2 MiB at once */
        link_init(&w.link, CHANNEL);
        if (start(&w, &packet) < 0)
                return EXIT_FAILURE;
        loops_unpark(&w);
        loop_run(&w.loop[0]);
}
