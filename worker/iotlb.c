/*
 * The IOTLB. Its entries are the front-end's claims: where they lead is judged by guest_mem.c, each time.
 */
#include "iotlb.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int iotlb_init(struct iotlb *tlb)
{
        void *room = mmap(NULL, IOTLB_MAX * sizeof(struct iotlb_entry), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (room == MAP_FAILED)
                return -errno;
        *tlb = (struct iotlb){ .entry = room };
        return 0;
}

void iotlb_clear(struct iotlb *tlb)
{
        tlb->n = tlb->victim = 0;
}

/* The first entry that ends at or behind an address; n: there is none. */
static unsigned first_from(const struct iotlb *tlb, uint64_t iova)
{
        unsigned low = 0, high = tlb->n;

        while (low < high) {
                unsigned middle = (low + high) / 2;

                if (tlb->entry[middle].last < iova)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

bool iotlb_conflicts(const struct iotlb *tlb, const struct ipc_iotlb *what)
{
        unsigned at = first_from(tlb, what->iova);
        const struct iotlb_entry *e = &tlb->entry[at];

        if (at == tlb->n || e->iova > what->last)
                return false;
        return e->iova != what->iova || e->last != what->last || e->uva != what->uva || e->access != what->access;
}

void iotlb_remove(struct iotlb *tlb, uint64_t iova, uint64_t last)
{
        unsigned from = first_from(tlb, iova), to = from;

        while (to < tlb->n && tlb->entry[to].iova <= last)
                to++;
        memmove(&tlb->entry[from], &tlb->entry[to], (tlb->n - to) * sizeof(tlb->entry[0]));
        tlb->n -= to - from;
}

static void evict(struct iotlb *tlb)
{
        unsigned at = tlb->victim++ % tlb->n;

        tlb->n--;
        memmove(&tlb->entry[at], &tlb->entry[at + 1], (tlb->n - at) * sizeof(tlb->entry[0]));
}

void iotlb_add(struct iotlb *tlb, const struct ipc_iotlb *what)
{
        unsigned at = first_from(tlb, what->iova);

        if (at < tlb->n && tlb->entry[at].iova <= what->last)
                return; /* just this one is there */
        if (tlb->n == IOTLB_MAX) {
                evict(tlb);
                at = first_from(tlb, what->iova);
        }
        memmove(&tlb->entry[at + 1], &tlb->entry[at], (tlb->n - at) * sizeof(tlb->entry[0]));
        tlb->entry[at] = (struct iotlb_entry){ .iova = what->iova, .last = what->last, .uva = what->uva,
                                               .access = what->access };
        tlb->n++;
}

int iotlb_find(const struct iotlb *tlb, uint64_t iova, uint32_t access, uint64_t *ret_uva, uint64_t *ret_len)
{
        unsigned at = first_from(tlb, iova);
        const struct iotlb_entry *e = &tlb->entry[at];

        if (at == tlb->n || e->iova > iova || (e->access & access) != access)
                return -EAGAIN;
        *ret_uva = e->uva + (iova - e->iova);
        *ret_len = e->last - iova == UINT64_MAX ? UINT64_MAX : e->last - iova + 1;
        return 0;
}
