/*
 * Post-copy, the destination's side.
 */
#include "fe_postcopy.h"
#include "fe_time.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static uint64_t file_bytes(const struct fe_region *part)
{
        return part->region.offset + part->region.size;
}

int fe_postcopy_advise(struct fe_device *device, struct fe_postcopy *ret_postcopy)
{
        struct fe_reply reply;
        int r = fe_ask(&device->conn, VU_POSTCOPY_ADVISE, NULL, 0, &reply);

        *ret_postcopy = (struct fe_postcopy){ .userfault = FD_NONE, .stop = FD_NONE, .brought = FD_NONE };
        if (r)
                return r;
        if (reply.header.size || reply.n_fds > 1)
                r = -EBADMSG;
        else if (!reply.n_fds)
                r = -EREMOTEIO;
        else
                ret_postcopy->userfault = fd_take(&reply.fd[0]);
        fe_reply_done(&reply);
        return r;
}

/* Always answered by a number. */
static int say(struct fe_device *device, uint32_t request)
{
        struct fe_reply reply;
        int r = fe_ask(&device->conn, request, NULL, 0, &reply);

        if (r)
                return r;
        r = reply.header.size != 8 || reply.n_fds ? -EBADMSG : reply.u64 ? -EREMOTEIO : 0;
        fe_reply_done(&reply);
        return r;
}

int fe_postcopy_listen(struct fe_device *device)
{
        return say(device, VU_POSTCOPY_LISTEN);
}

int fe_postcopy_end(struct fe_device *device)
{
        return say(device, VU_POSTCOPY_END);
}

int fe_postcopy_leave_behind(struct fe_device *device, struct fe_postcopy *postcopy)
{
        postcopy->mem = device->mem;
        for (unsigned i = 0; i < device->mem->n; i++) {
                const struct fe_region *part = &device->mem->part[i];

                postcopy->image[i] = aligned_alloc(PAGE, file_bytes(part));
                if (!postcopy->image[i])
                        return -ENOMEM;
                memcpy(postcopy->image[i], part->map, file_bytes(part));
                if (fallocate(part->fd.num, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t) file_bytes(part)))
                        return -errno;
        }
        return 0;
}

/* All as it was sent, but for the address. */
static int take_address(const struct vu_region *sent, const struct vu_region *got, uint64_t *ret_there)
{
        if (got->gpa != sent->gpa || got->size != sent->size || got->offset != sent->offset || got->uva == sent->uva ||
            !got->uva)
                return -EBADMSG;
        *ret_there = got->uva;
        return 0;
}

static int tell_one(struct fe_device *device, unsigned i, uint64_t *ret_there)
{
        const struct fe_region *part = &device->mem->part[i];
        struct vu_mem_reg message = { .region = part->region }, got;
        struct fe_reply reply;
        int r = fe_send_flags(&device->conn, VU_ADD_MEM_REG, VU_VERSION, &message, sizeof(message), &part->fd.num, 1);

        if (!r)
                r = fe_recv_reply(&device->conn, VU_ADD_MEM_REG, &reply);
        if (r)
                return r;
        if (reply.header.size != sizeof(got) || reply.n_fds)
                return -EBADMSG;
        memcpy(&got, reply.bytes, sizeof(got));
        return take_address(&message.region, &got.region, ret_there);
}

static int tell_table(struct fe_device *device, uint64_t *ret_there)
{
        struct vu_mem_table table = { .n = device->mem->n }, got;
        uint32_t size = (uint32_t) (offsetof(struct vu_mem_table, region) + table.n * sizeof(struct vu_region));
        int fds[VU_TABLE_REGIONS_MAX], r;
        struct fe_reply reply;

        for (unsigned i = 0; i < table.n; i++) {
                table.region[i] = device->mem->part[i].region;
                fds[i] = device->mem->part[i].fd.num;
        }
        r = fe_send_flags(&device->conn, VU_SET_MEM_TABLE, VU_VERSION, &table, size, fds, table.n);
        if (!r)
                r = fe_recv_reply(&device->conn, VU_SET_MEM_TABLE, &reply);
        if (r)
                return r;
        memcpy(&got, reply.bytes, sizeof(got));
        if (reply.header.size != size || reply.n_fds || got.n != table.n)
                return -EBADMSG;
        for (unsigned i = 0; i < table.n && !r; i++)
                r = take_address(&table.region[i], &got.region[i], &ret_there[i]);
        return r;
}

int fe_postcopy_tell(struct fe_device *device, struct fe_postcopy *postcopy)
{
        int r = 0;

        if (device->options.mem_table)
                return tell_table(device, postcopy->there);
        for (unsigned i = 0; i < device->mem->n && !r; i++)
                r = tell_one(device, i, &postcopy->there[i]);
        return r;
}

/* 1: brought; 0: it is there already, and who waits for it is woken. */
static int bring(const struct fe_postcopy *postcopy, unsigned i, uint64_t offset)
{
        const struct vu_region *region = &postcopy->mem->part[i].region;
        struct uffdio_copy copy = { .dst = postcopy->there[i] + offset, .len = PAGE,
                                    .src = (uintptr_t) (postcopy->image[i] + region->offset + offset) };
        struct uffdio_range range = { copy.dst, PAGE };

        if (ioctl(postcopy->userfault.num, UFFDIO_COPY, &copy) == 0)
                return 1;
        if (errno != EEXIST)
                return -errno;
        return ioctl(postcopy->userfault.num, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}

static int serve(struct fe_postcopy *postcopy, uint64_t address)
{
        for (unsigned i = 0; i < postcopy->mem->n; i++) {
                uint64_t offset = address - postcopy->there[i];

                if (offset < postcopy->mem->part[i].region.size)
                        return bring(postcopy, i, offset - offset % PAGE);
        }
        return -EFAULT;
}

static void *thread_main(void *context)
{
        struct fe_postcopy *postcopy = context;
        struct pollfd polls[] = { { .fd = postcopy->userfault.num, .events = POLLIN },
                                  { .fd = postcopy->stop.num, .events = POLLIN } };
        struct uffd_msg message;

        while (poll(polls, 2, -1) >= 0 && !polls[1].revents) {
                int r;

                if (read(postcopy->userfault.num, &message, sizeof(message)) != sizeof(message))
                        continue;
                r = message.event == UFFD_EVENT_PAGEFAULT ? serve(postcopy, message.arg.pagefault.address) : -EPROTO;
                if (r < 0)
                        postcopy->error = r;
                else
                        eventfd_write(postcopy->brought.num, 1);
        }
        return NULL;
}

int fe_postcopy_go_ahead(struct fe_device *device, struct fe_postcopy *postcopy)
{
        const uint64_t fine = 0;
        int r;

        postcopy->stop.num = eventfd(0, EFD_CLOEXEC);
        postcopy->brought.num = eventfd(0, EFD_CLOEXEC);
        if (!fd_has(&postcopy->stop) || !fd_has(&postcopy->brought))
                return -errno;
        r = -pthread_create(&postcopy->thread, NULL, thread_main, postcopy);
        postcopy->running = r == 0;
        return r ? r : fe_send(&device->conn, device->options.mem_table ? VU_SET_MEM_TABLE : VU_ADD_MEM_REG, &fine,
                               sizeof(fine));
}

int fe_postcopy_memory(struct fe_device *device, struct fe_postcopy *postcopy)
{
        int r = fe_postcopy_listen(device);

        if (!r)
                r = fe_postcopy_leave_behind(device, postcopy);
        if (!r)
                r = fe_postcopy_tell(device, postcopy);
        return r ? r : fe_postcopy_go_ahead(device, postcopy);
}

int fe_postcopy_await(struct fe_postcopy *postcopy, unsigned n, int timeout_ms)
{
        long long deadline = fe_deadline(timeout_ms);
        eventfd_t more;

        for (eventfd_t have = 0; have < n; have += more) {
                int r = fe_poll(postcopy->brought.num, POLLIN, deadline);

                if (!r && eventfd_read(postcopy->brought.num, &more))
                        r = -errno;
                if (r)
                        return r;
        }
        return 0;
}

int fe_postcopy_finish(struct fe_postcopy *postcopy)
{
        for (unsigned i = 0; i < postcopy->mem->n; i++)
                for (uint64_t at = 0; at < postcopy->mem->part[i].region.size; at += PAGE) {
                        int r = bring(postcopy, i, at);

                        if (r < 0)
                                return r;
                }
        return postcopy->error;
}

void fe_postcopy_done(struct fe_postcopy *postcopy)
{
        if (postcopy->running) {
                eventfd_write(postcopy->stop.num, 1);
                pthread_join(postcopy->thread, NULL);
        }
        postcopy->running = false;
        fd_close(&postcopy->stop);
        fd_close(&postcopy->brought);
        fd_close(&postcopy->userfault);
        for (unsigned i = 0; i < FE_REGIONS_MAX; i++) {
                free(postcopy->image[i]);
                postcopy->image[i] = NULL;
        }
}
