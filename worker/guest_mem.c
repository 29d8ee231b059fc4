/*
 * Guest memory: regions mapped shared, never executable, out of core dumps, filled by whoever touches them first.
 * Trusts nothing of a region: the front-end chose its numbers and its file.
 */
#include "guest_mem.h"

#include "iotlb.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint64_t page_most = UINT64_C(16) << 30; /* larger than any huge page */

int guest_mem_init(struct guest_mem *mem)
{
        void *room = mmap(NULL, VU_MEM_SLOTS * sizeof(struct region), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (room == MAP_FAILED)
                return -errno;
        *mem = (struct guest_mem){ .region = room };
        return 0;
}

static void guest_mem_free_room(struct guest_mem *mem)
{
        if (mem->region)
                munmap(mem->region, VU_MEM_SLOTS * sizeof(struct region));
        *mem = (struct guest_mem){ 0 };
}

void guest_mem_done(struct guest_mem *mem)
{
        for (unsigned i = 0; i < mem->n; i++)
                munmap(mem->region[i].map, mem->region[i].map_len);
        guest_mem_free_room(mem);
}

static bool ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
        return a - b < b_len || b - a < a_len; /* neither wraps, neither is empty */
}

static int region_check_free(const struct guest_mem *mem, uint32_t slot, const struct ipc_region *what)
{
        for (unsigned i = 0; i < mem->n; i++) {
                const struct region *r = &mem->region[i];

                if (r->slot == slot || ranges_overlap(r->gpa.at, r->len, what->gpa, what->size) ||
                    ranges_overlap(r->uva.at, r->len, what->uva, what->size))
                        return -EEXIST;
        }
        return 0;
}

static int region_check(const struct guest_mem *mem, uint32_t slot, const struct ipc_region *what)
{
        if (slot >= VU_MEM_SLOTS || mem->n >= VU_MEM_SLOTS)
                return -ENOSPC;
        if (what->size == 0 || what->gpa + what->size < what->gpa || what->uva + what->size < what->uva ||
            what->offset + what->size < what->offset)
                return -EINVAL;
        return region_check_free(mem, slot, what);
}

/* Not the C library's fstat: that one is another system call in each of its versions. */
static int file_check(int fd, const struct ipc_region *what, struct stat *ret_file)
{
        struct stat file = { 0 };

        if (syscall(SYS_fstat, fd, &file) < 0)
                return -errno;
        if (!S_ISREG(file.st_mode) || file.st_size < 0 || what->offset + what->size > (uint64_t) file.st_size)
                return -EINVAL;
        *ret_file = file;
        return 0;
}

/* What mappings of this file must be multiples of: its block size is that of its huge pages. */
static uint64_t page_of(const struct stat *file)
{
        uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE);
        uint64_t block = (uint64_t) file->st_blksize;

        return block > page && block <= page_most && (block & (block - 1)) == 0 ? block : page;
}

static int region_map(struct region *r, int fd, uint64_t page)
{
        uint64_t skip = r->offset & (page - 1);
        uint64_t len;
        void *map;

        if (__builtin_add_overflow(r->len, skip + page - 1, &len) || len > SIZE_MAX / 2)
                return -EINVAL;
        len &= ~(page - 1);
        map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t) (r->offset - skip));
        if (map == MAP_FAILED)
                return -errno;
        madvise(map, len, MADV_DONTDUMP);
        r->map = map;
        r->map_len = len;
        r->mapped = (char *) map + skip;
        return 0;
}

static void region_insert(struct guest_mem *mem, const struct region *r)
{
        unsigned at = mem->n++;

        for (; at > 0 && mem->region[at - 1].gpa.at > r->gpa.at; at--)
                mem->region[at] = mem->region[at - 1];
        mem->region[at] = *r;
}

static bool region_same(const struct region *a, const struct region *b)
{
        return a->gpa.at == b->gpa.at && a->uva.at == b->uva.at && a->len == b->len && a->offset == b->offset &&
               a->device == b->device && a->inode == b->inode;
}

static const struct region *region_like(const struct guest_mem *mem, const struct region *wanted)
{
        for (unsigned i = 0; i < mem->n; i++)
                if (region_same(&mem->region[i], wanted))
                        return &mem->region[i];
        return NULL;
}

/* Adds a region; takes its mapping from `old` if the same one stands there. */
static int region_add(struct guest_mem *mem, const struct guest_mem *old, uint32_t slot,
                      const struct ipc_region *what, int fd)
{
        const struct region *like;
        struct region r;
        struct stat file = { 0 };
        int error;

        error = region_check(mem, slot, what);
        if (error < 0)
                return error;
        error = file_check(fd, what, &file);
        if (error < 0)
                return error;
        r = (struct region){ .gpa = { what->gpa }, .uva = { what->uva }, .len = what->size, .slot = slot,
                             .device = file.st_dev, .inode = file.st_ino, .offset = what->offset };
        like = old ? region_like(old, &r) : NULL;
        if (like) {
                r = *like;
                r.slot = slot;
        } else {
                error = region_map(&r, fd, page_of(&file));
                if (error < 0)
                        return error;
        }
        region_insert(mem, &r);
        return 0;
}

int guest_mem_add(struct guest_mem *mem, uint32_t slot, const struct ipc_region *what, int fd)
{
        return region_add(mem, NULL, slot, what, fd);
}

bool guest_mem_has(const struct guest_mem *mem, uint32_t slot)
{
        for (unsigned i = 0; i < mem->n; i++)
                if (mem->region[i].slot == slot)
                        return true;
        return false;
}

uint64_t guest_mem_where(const struct guest_mem *mem, uint32_t slot)
{
        for (unsigned i = 0; i < mem->n; i++)
                if (mem->region[i].slot == slot)
                        return (uintptr_t) mem->region[i].mapped;
        return 0;
}

int guest_mem_del(struct guest_mem *mem, uint32_t slot)
{
        for (unsigned i = 0; i < mem->n; i++) {
                if (mem->region[i].slot != slot)
                        continue;
                munmap(mem->region[i].map, mem->region[i].map_len);
                mem->n--;
                memmove(&mem->region[i], &mem->region[i + 1], (mem->n - i) * sizeof(mem->region[0]));
                return 0;
        }
        return -ENOENT;
}

/* Unmaps what `mem` has and `other` does not share. */
static void unmap_unshared(struct guest_mem *mem, const struct guest_mem *other)
{
        for (unsigned i = 0; i < mem->n; i++) {
                const struct region *like = region_like(other, &mem->region[i]);

                if (!like || like->map != mem->region[i].map)
                        munmap(mem->region[i].map, mem->region[i].map_len);
        }
}

int guest_mem_plan(const struct guest_mem *mem, const struct ipc_mem_table *table, const struct fd *fds,
                   struct guest_mem *ret_next)
{
        struct guest_mem next;
        int r;

        if (table->n > VU_TABLE_REGIONS_MAX)
                return -EINVAL;
        r = guest_mem_init(&next);
        if (r < 0)
                return r;
        for (unsigned i = 0; r == 0 && i < table->n; i++)
                r = region_add(&next, mem, i, &table->region[i], fds[i].num);
        if (r == 0)
                *ret_next = next;
        else
                guest_mem_abandon(mem, &next);
        return r;
}

void guest_mem_abandon(const struct guest_mem *mem, struct guest_mem *next)
{
        unmap_unshared(next, mem);
        guest_mem_free_room(next);
}

void guest_mem_commit(struct guest_mem *mem, struct guest_mem *next)
{
        next->iotlb = mem->iotlb;
        unmap_unshared(mem, next);
        guest_mem_free_room(mem);
        *mem = *next;
        *next = (struct guest_mem){ 0 };
}

bool guest_mem_drops(const struct guest_mem *mem, const struct guest_mem *next)
{
        for (unsigned i = 0; i < mem->n; i++)
                if (!region_like(next, &mem->region[i]))
                        return true;
        return false;
}

/* The region that holds an address, by binary search. */
static const struct region *region_of(const struct guest_mem *mem, struct gpa from)
{
        unsigned low = 0, high = mem->n;

        while (low < high) {
                unsigned middle = (low + high) / 2;
                const struct region *r = &mem->region[middle];

                if (from.at < r->gpa.at)
                        high = middle;
                else if (from.at - r->gpa.at < r->len)
                        return r;
                else
                        low = middle + 1;
        }
        return NULL;
}

int guest_span_part(const struct guest_mem *mem, struct gpa from, uint64_t len, struct span *ret_span)
{
        const struct region *r = region_of(mem, from);
        uint64_t skip;

        if (!r)
                return -EFAULT;
        skip = from.at - r->gpa.at;
        *ret_span = (struct span){ r->mapped + skip, len < r->len - skip ? len : r->len - skip, from };
        return 0;
}

int guest_span(const struct guest_mem *mem, struct gpa from, uint64_t len, struct span *ret_span)
{
        struct span span;
        int r = guest_span_part(mem, from, len, &span);

        if (r < 0 || span.len < len)
                return -EFAULT;
        *ret_span = span;
        return 0;
}

/* By user address, up to the region's end. */
static int span_part_user(const struct guest_mem *mem, struct uva from, uint64_t len, struct span *ret_span)
{
        for (unsigned i = 0; i < mem->n; i++) {
                const struct region *r = &mem->region[i];
                uint64_t skip = from.at - r->uva.at; /* below the region this wraps past r->len */

                if (skip >= r->len)
                        continue;
                *ret_span = (struct span){ r->mapped + skip, len < r->len - skip ? len : r->len - skip,
                                           { r->gpa.at + skip } };
                return 0;
        }
        return -EFAULT;
}

int guest_span_user(const struct guest_mem *mem, struct uva from, uint64_t len, unsigned align,
                    struct span *ret_span)
{
        struct span span;
        int r = span_part_user(mem, from, len, &span);

        if (r < 0 || span.len < len)
                return -EFAULT;
        if ((uintptr_t) span.at % align)
                return -EINVAL;
        *ret_span = span;
        return 0;
}

int guest_span_dma(const struct guest_mem *mem, struct gpa from, uint64_t len, uint32_t access,
                   struct span *ret_span)
{
        struct uva uva;
        uint64_t known;
        int r;

        if (!mem->iotlb)
                return guest_span_part(mem, from, len, ret_span);
        r = iotlb_find(mem->iotlb, from.at, access, &uva.at, &known);
        return r < 0 ? r : span_part_user(mem, uva, len < known ? len : known, ret_span);
}

/* Behind an IOMMU the parts of a ring may be several pages, which must adjoin here as they do there. */
int guest_span_ring(const struct guest_mem *mem, struct uva from, uint64_t len, unsigned align, uint32_t access,
                    struct span *ret_span)
{
        struct span span = { 0 };

        if (!mem->iotlb)
                return guest_span_user(mem, from, len, align, ret_span);
        while (span.len < len) {
                struct span part;
                int r = guest_span_dma(mem, (struct gpa){ from.at + span.len }, len - span.len, access, &part);

                if (r < 0)
                        return r;
                if (span.len && (char SHARED *) span.at + span.len != part.at)
                        return -EFAULT;
                if (!span.len)
                        span = part;
                else
                        span.len += part.len;
        }
        if ((uintptr_t) span.at % align)
                return -EINVAL;
        *ret_span = span;
        return 0;
}

uint64_t guest_first_miss(const struct guest_mem *mem, struct gpa from, uint64_t len, uint32_t access)
{
        while (len) {
                struct span part;

                if (guest_span_dma(mem, from, len, access, &part) < 0)
                        break;
                from.at += part.len;
                len -= part.len;
        }
        return from.at;
}

int guest_read(const struct guest_mem *mem, struct gpa from, void *to, uint64_t len)
{
        while (len) {
                struct span part;
                int r = guest_span_dma(mem, from, len, IPC_READ, &part);

                if (r < 0)
                        return r;
                shared_read(to, part.at, part.len);
                to = (char *) to + part.len;
                from.at += part.len;
                len -= part.len;
        }
        return 0;
}
