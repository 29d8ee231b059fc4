/*
 * vhost-session: one front-end connection, from its first byte to its last. Started by the broker alone:
 *
 *   0     SOCK_SEQPACKET from the broker; the first packet is IPC_CONNECTION
 *   1, 2  packet-mode pipe to the broker
 *
 * Its life is one struct and one loop; it takes no memory, opens nothing and maps nothing once it is confined.
 */
#include "sandbox.h"
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Waits for the packet that makes us a session. The broker is trusted, but its packet is judged like any other. */
static int receive_connection(struct session *s, struct packet *ret_packet)
{
        struct pollfd broker = { .fd = s->broker.num, .events = POLLIN };
        int r;

        do {
                if (poll(&broker, 1, -1) < 0 && errno != EINTR)
                        return -errno;
                r = packet_recv(s->broker.num, 2, ret_packet);
        } while (r == -EAGAIN);
        if (r < 0)
                return r;
        r = ipc_check(&s->broker_peer, ret_packet);
        if (r < 0) {
                packet_done(ret_packet);
                return r;
        }
        memcpy(&s->allowed, ret_packet->body, sizeof(s->allowed));
        return 0;
}

static const char *stage_name(int stage)
{
        switch (stage) {
        case SESSION_NO_CONFINEMENT:
                return "no_new_privs and dumpable";
        case SESSION_NO_MDWE:
                return "memory-deny-write-execute";
        case SESSION_NO_LANDLOCK:
                return "landlock";
        default:
                return "system call filter";
        }
}

static void start(struct session *s)
{
        struct packet connection;
        int r = receive_connection(s, &connection);
        int stage;

        if (r == -ENODATA) {
                session_end_quietly(s, SESSION_LEFT);
                return;
        }
        if (r < 0) {
                session_end(s, SESSION_NO_CONNECTION, "no connection from the broker: %s", log_errno(r));
                return;
        }
        stage = sandbox_enter(s->allowed.may_lack, &s->lacks, &r);
        if (stage)
                session_end(s, (enum session_end) stage, "confinement: %s: %s", stage_name(stage), log_errno(r));
        else
                session_open(s, &connection);
        packet_done(&connection);
}

int main(void)
{
        struct session session;
        int r;

        signal(SIGPIPE, SIG_IGN);
        session_init(&session, (struct fd){ STDIN_FILENO }, (struct fd){ STDOUT_FILENO });
        r = fd_nonblock(STDOUT_FILENO, true);
        if (r < 0)
                return SESSION_BROKER_FAILED;
        start(&session);
        while (!session.over)
                session_step(&session, -1);
        session_done(&session);
        return session.end;
}
