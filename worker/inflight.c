/*
 * In-flight tracking of split rings. The order of stores is the protocol: a crash may come between any two of them,
 * and the release fences keep the compiler and the reader on another core to that order.
 */
#include "inflight.h"

#include "aged.h"
#include "virtio.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint16_t version = 1;

static uint64_t bytes_needed(const struct ipc_inflight *what, bool packed)
{
        return what->queues * vu_inflight_bytes(what->queue_size, packed);
}

/* What is mapped: enough for either format, if there is so much; the rest of the area is no business of ours. */
static uint64_t bytes_used(const struct ipc_inflight *what)
{
        uint64_t most = bytes_needed(what, true);

        return what->size < most ? what->size : most;
}

static int area_check(const struct ipc_inflight *what, int fd)
{
        struct stat file = { 0 };
        uint64_t end;

        if (what->queues == 0 || what->queues > VU_VRING_INDEX_MASK + 1 || what->queue_size == 0 ||
            what->queue_size > VRING_SIZE_MAX || what->size < bytes_needed(what, false) || what->offset % 8)
                return -EINVAL;
        if (__builtin_add_overflow(what->offset, what->size, &end))
                return -EINVAL;
        if (syscall(SYS_fstat, fd, &file) < 0)
                return -errno;
        return S_ISREG(file.st_mode) && file.st_size >= 0 && end <= (uint64_t) file.st_size ? 0 : -EINVAL;
}

int inflight_area_map(const struct ipc_inflight *what, int fd, struct inflight_area *ret_area)
{
        uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE);
        uint64_t skip = what->offset % page;
        void *map;
        size_t len;
        int r;

        r = area_check(what, fd);
        if (r < 0)
                return r;
        len = (size_t) (bytes_used(what) + skip);
        map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t) (what->offset - skip));
        if (map == MAP_FAILED)
                return -errno;
        *ret_area = (struct inflight_area){ .base = (char *) map + skip, .map = map, .map_len = len,
                                            .len = bytes_used(what), .queues = what->queues,
                                            .queue_size = what->queue_size };
        return 0;
}

void inflight_area_done(struct inflight_area *area)
{
        if (area->map)
                munmap(area->map, area->map_len);
        *area = (struct inflight_area){ 0 };
}

/* Both formats begin with it. */
static_assert(offsetof(struct vu_inflight_split, features) == 0 && offsetof(struct vu_inflight_packed, features) == 0,
              "the mode's place");

uint64_t inflight_area_mode(const struct inflight_area *area)
{
        return area->base ? shared_load64((const uint64_t SHARED *) (void SHARED *) area->base, __ATOMIC_RELAXED) : 0;
}

void inflight_area_set_mode(const struct inflight_area *area, uint64_t mode)
{
        if (area->base)
                shared_store64((uint64_t SHARED *) (void SHARED *) area->base, mode, __ATOMIC_RELAXED);
}

int inflight_part(const struct inflight_area *area, uint32_t index, uint32_t size, bool packed, void SHARED **ret_part)
{
        uint64_t bytes = vu_inflight_bytes(area->queue_size, packed);

        *ret_part = NULL;
        if (!area->base)
                return 0;
        if (index >= area->queues || size > area->queue_size || area->queues * bytes > area->len)
                return -EINVAL;
        *ret_part = area->base + index * bytes;
        return 0;
}

int inflight_of(const struct inflight_area *area, uint32_t index, uint32_t size, struct inflight *ret_inflight)
{
        struct vu_inflight_split SHARED *header;
        void SHARED *part;
        int r = inflight_part(area, index, size, false, &part);

        *ret_inflight = (struct inflight){ 0 };
        if (r < 0 || !part)
                return r;
        header = part;
        *ret_inflight = (struct inflight){ .header = header, .size = (uint16_t) size,
                                           .desc = (void SHARED *) (header + 1) };
        return r;
}

bool inflight_begun(const struct inflight *inflight)
{
        return inflight->header && shared_load16(&inflight->header->version, __ATOMIC_RELAXED) != 0;
}

static_assert(offsetof(struct vu_inflight_split, version) == offsetof(struct vu_inflight_packed, version),
              "both formats know by the same word whether they were begun");

int inflight_forget(const struct inflight_area *area, uint32_t index, uint32_t size, bool packed)
{
        struct vu_inflight_split SHARED *header;
        void SHARED *part;
        int r = inflight_part(area, index, size, packed, &part);

        if (r < 0 || !part)
                return r;
        header = part;
        shared_store16(&header->version, 0, __ATOMIC_RELAXED);
        return 0;
}

void inflight_begin(struct inflight *inflight, uint16_t used_idx)
{
        struct vu_inflight_split SHARED *header = inflight->header;

        if (!header)
                return;
        shared_store16(&header->version, 0, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        for (unsigned i = 0; i < inflight->size; i++)
                if (shared_load8(&inflight->desc[i].inflight, __ATOMIC_RELAXED))
                        shared_store8(&inflight->desc[i].inflight, 0, __ATOMIC_RELAXED);
        shared_store16(&header->desc_num, inflight->size, __ATOMIC_RELAXED);
        shared_store16(&header->last_batch_head, 0, __ATOMIC_RELAXED);
        shared_store16(&header->used_idx, used_idx, __ATOMIC_RELAXED);
        inflight->counter = 0;
        atomic_thread_fence(memory_order_release);
        shared_store16(&header->version, version, __ATOMIC_RELAXED);
}

/* The predecessor published its last batch and died before it had settled it all: settle it. */
static int settle_last_batch(struct inflight *inflight, uint16_t used_idx)
{
        struct vu_inflight_split SHARED *header = inflight->header;
        uint16_t missing = used_idx - shared_load16(&header->used_idx, __ATOMIC_RELAXED);
        uint16_t at = shared_load16(&header->last_batch_head, __ATOMIC_RELAXED);

        if (missing > inflight->size)
                return -EPROTO;
        for (; missing; missing--) {
                struct vu_inflight_split_desc SHARED *desc;

                if (at >= inflight->size)
                        return -EPROTO;
                desc = &inflight->desc[at];
                shared_store8(&desc->inflight, 0, __ATOMIC_RELAXED);
                at = shared_load16(&desc->next, __ATOMIC_RELAXED);
        }
        atomic_thread_fence(memory_order_release);
        shared_store16(&header->used_idx, used_idx, __ATOMIC_RELAXED);
        return 0;
}

int inflight_resume(struct inflight *inflight, uint16_t used_idx, uint16_t *ret_heads, unsigned *ret_n)
{
        size_t room = inflight->size * sizeof(struct aged);
        struct aged *list;
        unsigned n = 0;
        int r;

        if (shared_load16(&inflight->header->desc_num, __ATOMIC_RELAXED) != inflight->size)
                return -EPROTO;
        r = settle_last_batch(inflight, used_idx);
        if (r < 0)
                return r;
        list = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (list == MAP_FAILED)
                return -errno;
        for (unsigned i = 0; i < inflight->size; i++) {
                const struct vu_inflight_split_desc SHARED *desc = &inflight->desc[i];

                if (shared_load8(&desc->inflight, __ATOMIC_RELAXED) == 1)
                        list[n++] = (struct aged){ shared_load64(&desc->counter, __ATOMIC_RELAXED), (uint16_t) i };
        }
        aged_sort(list, n);
        for (unsigned i = 0; i < n; i++)
                ret_heads[i] = list[i].head;
        inflight->counter = n ? list[n - 1].age + 1 : 0;
        munmap(list, room);
        *ret_n = n;
        return 0;
}

/* A batch that was published and not settled at all is in the count yet, and not in the index. */
uint16_t inflight_ahead(const struct inflight *inflight)
{
        uint16_t ahead = shared_load16(&inflight->header->used_idx, __ATOMIC_RELAXED);

        for (unsigned i = 0; i < inflight->size; i++)
                ahead += shared_load8(&inflight->desc[i].inflight, __ATOMIC_RELAXED) == 1;
        return ahead;
}

void inflight_take(struct inflight *inflight, uint16_t head)
{
        if (!inflight->header)
                return;
        shared_store64(&inflight->desc[head].counter, inflight->counter++, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        shared_store8(&inflight->desc[head].inflight, 1, __ATOMIC_RELAXED);
}

void inflight_prepare(struct inflight *inflight, const uint16_t *heads, unsigned n)
{
        struct vu_inflight_split SHARED *header = inflight->header;

        if (!header)
                return;
        for (unsigned i = 0; i < n; i++) {
                shared_store16(&inflight->desc[heads[i]].next,
                               shared_load16(&header->last_batch_head, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
                atomic_thread_fence(memory_order_release);
                shared_store16(&header->last_batch_head, heads[i], __ATOMIC_RELAXED);
        }
        atomic_thread_fence(memory_order_release);
}

void inflight_settle(struct inflight *inflight, const uint16_t *heads, unsigned n, uint16_t used_idx)
{
        if (!inflight->header)
                return;
        atomic_thread_fence(memory_order_release);
        for (unsigned i = 0; i < n; i++)
                shared_store8(&inflight->desc[heads[i]].inflight, 0, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
        shared_store16(&inflight->header->used_idx, used_idx, __ATOMIC_RELAXED);
}
