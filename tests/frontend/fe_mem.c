/*
 * Guest memory of a pretended virtual machine.
 */
#include "fe_mem.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int fe_mem_add(struct fe_mem *mem, uint64_t gpa, uint64_t size, uint64_t offset, unsigned *ret_index)
{
        AUTO_FD fd = { memfd_create("guest", MFD_CLOEXEC) };
        void *map;

        if (mem->n == FE_REGIONS_MAX)
                return -ENOSPC;
        if (fd.num < 0 || ftruncate(fd.num, (off_t) (offset + size)))
                return -errno;
        map = mmap(NULL, offset + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.num, 0);
        if (map == MAP_FAILED)
                return -errno;
        mem->part[mem->n] = (struct fe_region){
                .region = {.gpa = gpa, .size = size, .uva = gpa + FE_UVA_OFFSET, .offset = offset},
                .fd = fd_take(&fd),
                .map = map,
        };
        *ret_index = mem->n++;
        return 0;
}

/* Without a lock, because vrings driven by different threads take tables from one region. */
int fe_mem_alloc(struct fe_mem *mem, unsigned index, uint64_t size, uint64_t align, struct fe_buf *ret_buf)
{
        struct fe_region *p = &mem->part[index];
        uint64_t used = __atomic_load_n(&p->used, __ATOMIC_RELAXED), gpa, from;

        do {
                gpa = (p->region.gpa + used + align - 1) & ~(align - 1);
                from = gpa - p->region.gpa;
                if (from > p->region.size || size > p->region.size - from)
                        return -ENOSPC;
        } while (!__atomic_compare_exchange_n(&p->used, &used, from + size, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        *ret_buf = (struct fe_buf){ .at = p->map + p->region.offset + from, .gpa = gpa, .size = size };
        return 0;
}

static const struct fe_region *part_of(const struct fe_mem *mem, uint64_t gpa)
{
        for (unsigned i = 0; i < mem->n; i++)
                if (gpa - mem->part[i].region.gpa < mem->part[i].region.size)
                        return &mem->part[i];
        return NULL;
}

void *fe_mem_at(const struct fe_mem *mem, uint64_t gpa, uint64_t size)
{
        const struct fe_region *p = part_of(mem, gpa);
        uint64_t from = p ? gpa - p->region.gpa : 0;

        if (!p || size > p->region.size - from)
                return NULL;
        return p->map + p->region.offset + from;
}

uint64_t fe_mem_uva(const struct fe_mem *mem, uint64_t gpa)
{
        const struct fe_region *p = part_of(mem, gpa);

        return p ? p->region.uva + (gpa - p->region.gpa) : 0;
}

void fe_mem_done(struct fe_mem *mem)
{
        for (unsigned i = 0; i < mem->n; i++) {
                munmap(mem->part[i].map, mem->part[i].region.offset + mem->part[i].region.size);
                fd_close(&mem->part[i].fd);
        }
        mem->n = 0;
}
