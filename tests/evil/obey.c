/*
 * The body of a program that was taken over. Allocates nothing, so that it needs no call that the policy lacks.
 */
#include "obey.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FDS_MOST = 253, BYTES_MOST = 8192 };

static long long now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The gate of 32-bit programs, which takes other numbers. */
static long call_i386(uint64_t number, const uint64_t *a)
{
        long result;

        __asm__ volatile("int $0x80"
                         : "=a"(result)
                         : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
                         : "memory", "r8", "r9", "r10", "r11");
        return (int) result;
}

static int64_t call(const struct evil_command *command)
{
        uint8_t room[EVIL_DATA] __attribute__((aligned(16)));
        uint64_t a[6];
        long result;

        memcpy(room, command->data, sizeof(room));
        for (unsigned i = 0; i < 6; i++)
                a[i] = command->in_data & 1u << i ? (uint64_t) (uintptr_t) room + command->argument[i]
                                                  : command->argument[i];
        if (command->entry == EVIL_I386)
                return call_i386(command->number, a);
        result = syscall((long) (command->number | (command->entry == EVIL_X32 ? EVIL_X32_BIT : 0)), a[0], a[1], a[2],
                         a[3], a[4], a[5]);
        return result < 0 ? -errno : result;
}

static int64_t send_packet(const struct evil_command *command)
{
        uint8_t bytes[BYTES_MOST];
        size_t n = command->argument[0] < sizeof(bytes) ? command->argument[0] : sizeof(bytes);
        unsigned n_fds = command->argument[2] < FDS_MOST ? (unsigned) command->argument[2] : FDS_MOST;
        int fd = (int) command->argument[3];
        union {
                struct cmsghdr item;
                char room[CMSG_SPACE(FDS_MOST * sizeof(int))];
        } control;
        struct iovec part = { bytes, n };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        ssize_t sent;

        memset(bytes, (int) command->argument[1], sizeof(bytes));
        memcpy(bytes, command->data, EVIL_DATA);
        if (n_fds) {
                control.item = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                                 .cmsg_len = CMSG_LEN(n_fds * sizeof(int)) };
                for (unsigned i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(&control.item) + i * sizeof(int), &fd, sizeof(fd));
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        }
        sent = sendmsg((int) command->number, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == ENOTSOCK)
                sent = writev((int) command->number, &part, 1);
        return sent < 0 ? -errno : sent;
}

static int64_t submit(const struct evil_command *command, struct io_uring *ring)
{
        struct io_uring_sqe *sqe = ring ? io_uring_get_sqe(ring) : NULL;
        struct io_uring_cqe *cqe;
        int64_t result;
        int r;

        if (!sqe)
                return -ENODEV;
        memcpy(sqe, command->data, sizeof(*sqe));
        r = io_uring_submit_and_wait(ring, 1);
        if (r >= 0)
                r = io_uring_peek_cqe(ring, &cqe);
        if (r < 0)
                return r;
        result = cqe->res;
        io_uring_cqe_seen(ring, cqe);
        return result;
}

static int64_t once(const struct evil_command *command, struct io_uring *ring)
{
        switch (command->what) {
        case EVIL_CALL:
                return call(command);
        case EVIL_PACKET:
                return send_packet(command);
        case EVIL_RING:
                return submit(command, ring);
        default:
                return -EINVAL;
        }
}

void evil_obey(const struct evil_command *command, struct io_uring *ring, struct evil_answer *ret_answer)
{
        long long end = command->ms ? now_ms() + command->ms : 0;

        *ret_answer = (struct evil_answer){ .magic = EVIL_MAGIC };
        do {
                ret_answer->result = once(command, ring);
                ret_answer->times++;
        } while (end && now_ms() < end);
}
