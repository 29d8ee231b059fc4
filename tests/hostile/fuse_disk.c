/*
 * A FUSE server that keeps its file in memory, and one write back when it is told so. Direct writes are asynchronous
 * there: who submitted one by io_uring can die while the server still has it, as with a disk.
 */
#include "fuse_disk.h"

#include "fe_time.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OBEYS_MS = 10000 };

enum word { HOLD = 'h', HELD = 'w', RELEASE = 'r', DONE = 'd' };

struct server {
        int fuse, control;
        uint8_t *bytes;
        bool holds;
        bool held; /* there is one */
        struct {
                uint64_t unique, offset;
                uint32_t n;
                uint8_t bytes[FUSE_SERVER_WRITE_MOST];
        } write;
};

static int say(int control, enum word word)
{
        const uint8_t byte = (uint8_t) word;

        return send(control, &byte, 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* -EPROTO: another word; -ETIMEDOUT. */
static int hear(int control, enum word word, int timeout_ms)
{
        uint8_t byte;
        int r = fe_poll(control, POLLIN, fe_deadline(timeout_ms));

        if (r < 0)
                return r;
        return read(control, &byte, 1) == 1 && byte == word ? 0 : -EPROTO;
}

static void finish_write(struct server *s)
{
        const struct fuse_write_out out = { .size = s->write.n };

        memcpy(s->bytes + s->write.offset, s->write.bytes, s->write.n);
        fuse_server_answer(s->fuse, s->write.unique, 0, &out, sizeof(out));
        s->held = false;
}

static void take_write(struct server *s, const struct fuse_in_header *in, const struct fuse_write_in *write)
{
        if (s->held || write->size > sizeof(s->write.bytes) || write->offset > FUSE_SERVER_BYTES - write->size) {
                fuse_server_answer(s->fuse, in->unique, -EIO, NULL, 0);
                return;
        }
        s->write.unique = in->unique;
        s->write.offset = write->offset;
        s->write.n = write->size;
        memcpy(s->write.bytes, write + 1, write->size);
        s->held = s->holds;
        if (s->held)
                say(s->control, HELD);
        else
                finish_write(s);
}

static void do_read(struct server *s, const struct fuse_in_header *in, const struct fuse_read_in *read)
{
        uint64_t from = read->offset < FUSE_SERVER_BYTES ? read->offset : FUSE_SERVER_BYTES;
        uint64_t left = FUSE_SERVER_BYTES - from;

        fuse_server_answer(s->fuse, in->unique, 0, s->bytes + from, read->size < left ? read->size : left);
}

static void do_one(struct server *s)
{
        static _Alignas(8) uint8_t request[FUSE_SERVER_REQUEST_BYTES];
        const struct fuse_in_header *in = (const struct fuse_in_header *) request;

        if (read(s->fuse, request, sizeof(request)) < (ssize_t) sizeof(*in)) {
                if (errno == ENODEV)
                        _exit(0);
        } else if (in->opcode == FUSE_WRITE) {
                take_write(s, in, (const struct fuse_write_in *) (in + 1));
        } else if (in->opcode == FUSE_READ) {
                do_read(s, in, (const struct fuse_read_in *) (in + 1));
        } else {
                fuse_server_do(s->fuse, in, FOPEN_NOFLUSH); /* a close would wait for who writes */
        }
}

static void obey(struct server *s)
{
        uint8_t word;

        if (read(s->control, &word, 1) != 1)
                _exit(0);
        s->holds = word == HOLD;
        if (word == RELEASE && s->held)
                finish_write(s);
        say(s->control, DONE);
}

static void __attribute__((noreturn)) run(const char *directory, int control)
{
        struct server s = { .control = control };
        struct fd fuse = FD_NONE;
        int8_t why;

        /* As root in no user namespace of its own: that would not know the ids that workers have. */
        s.bytes = mmap(NULL, FUSE_SERVER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        why = (int8_t) (s.bytes == MAP_FAILED ? -ENOMEM : fuse_server_mount(directory, geteuid() != 0, &fuse));
        (void) !write(control, &why, 1);
        if (why)
                _exit(0);
        s.fuse = fuse.num;
        for (;;) {
                struct pollfd p[] = {
                        {.fd = s.fuse,   .events = POLLIN},
                        { .fd = control, .events = POLLIN}
                };

                if (poll(p, 2, -1) < 0)
                        continue;
                if (p[0].revents)
                        do_one(&s);
                if (p[1].revents)
                        obey(&s);
        }
}

int fuse_disk_open(const char *directory, struct fuse_disk *ret_disk)
{
        int8_t why = -ECHILD;
        int r = fuse_server_start(run, directory, &ret_disk->server);

        if (r == 0) {
                (void) !read(ret_disk->server.control.num, &why, 1);
                r = why;
        }
        if (r < 0)
                fuse_disk_done(ret_disk);
        else
                snprintf(ret_disk->path, sizeof(ret_disk->path), "/proc/%d/root%s/f", (int) ret_disk->server.pid,
                         directory);
        return r;
}

int fuse_disk_hold(struct fuse_disk *disk)
{
        int r = say(disk->server.control.num, HOLD);

        return r < 0 ? r : hear(disk->server.control.num, DONE, OBEYS_MS);
}

int fuse_disk_await_held(struct fuse_disk *disk, int timeout_ms)
{
        return hear(disk->server.control.num, HELD, timeout_ms);
}

int fuse_disk_release(struct fuse_disk *disk)
{
        int r = say(disk->server.control.num, RELEASE);

        return r < 0 ? r : hear(disk->server.control.num, DONE, OBEYS_MS);
}

void fuse_disk_done(struct fuse_disk *disk)
{
        fuse_server_end(&disk->server);
}
