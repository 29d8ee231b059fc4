/*
 * The input is what a front-end tells of an IOMMU. What is found must be what a plain model says: a list of entries,
 * searched from its beginning. What leads outside of guest memory must not be found there.
 *
 * A record: what (bits 0-1: add, remove, ask, forget all; bit 2: addresses of 64 bits follow, else pages), three bytes
 * or three addresses: first, last, user address; the access.
 */
#include "guest_mem.h"
#include "iotlb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REGION = 1 << 16, PAGE = 4096, WIDE = 4, MODEL = 256 };

struct model {
        struct ipc_iotlb entry[MODEL];
        unsigned n;
};

struct input {
        const uint8_t *at;
        size_t left;
};

static void take(struct input *input, void *ret, size_t n)
{
        memset(ret, 0, n);
        n = n < input->left ? n : input->left;
        memcpy(ret, input->at, n);
        input->at += n;
        input->left -= n;
}

static struct ipc_iotlb claim_of(struct input *input, uint8_t what)
{
        struct ipc_iotlb claim = { 0 };
        uint64_t wide[3];
        uint8_t narrow[3], access;

        if (what & WIDE) {
                take(input, wide, sizeof(wide));
        } else {
                take(input, narrow, sizeof(narrow));
                wide[0] = narrow[0] % 32 * (uint64_t) PAGE;
                wide[1] = wide[0] + narrow[1] % 8 * (uint64_t) PAGE + PAGE - 1;
                wide[2] = narrow[2] * (uint64_t) PAGE / 8;
        }
        take(input, &access, 1);
        claim.iova = wide[0];
        claim.last = wide[1];
        claim.uva = wide[2];
        claim.access = access & (IPC_READ | IPC_WRITE);
        return claim;
}

/* As link_handlers.c judges one before the cache sees it. */
static bool is_legal(const struct ipc_iotlb *claim)
{
        uint64_t end;

        return claim->last >= claim->iova && claim->access &&
               !__builtin_add_overflow(claim->uva, claim->last - claim->iova, &end);
}

static bool overlaps(const struct ipc_iotlb *a, const struct ipc_iotlb *b)
{
        return a->iova <= b->last && b->iova <= a->last;
}

static void model_remove(struct model *model, const struct ipc_iotlb *claim)
{
        unsigned n = 0;

        for (unsigned i = 0; i < model->n; i++)
                if (!overlaps(&model->entry[i], claim))
                        model->entry[n++] = model->entry[i];
        model->n = n;
}

static void add(struct iotlb *tlb, struct model *model, const struct ipc_iotlb *claim)
{
        if (!is_legal(claim) || model->n == MODEL)
                return;
        if (iotlb_conflicts(tlb, claim))
                iotlb_remove(tlb, claim->iova, claim->last);
        iotlb_add(tlb, claim);
        model_remove(model, claim);
        model->entry[model->n++] = *claim;
}

static void compare(const struct iotlb *tlb, const struct model *model, uint64_t iova, uint32_t access)
{
        uint64_t uva, len;
        int r = iotlb_find(tlb, iova, access, &uva, &len);

        for (unsigned i = 0; i < model->n; i++) {
                const struct ipc_iotlb *e = &model->entry[i];

                if (iova < e->iova || iova > e->last)
                        continue;
                if ((e->access & access) != access) {
                        if (r != -EAGAIN)
                                abort();
                } else if (r != 0 || uva != e->uva + (iova - e->iova) || len == 0 || len - 1 > e->last - iova) {
                        abort();
                }
                return;
        }
        if (r != -EAGAIN)
                abort();
}

static void ask(const struct guest_mem *mem, uint64_t iova, uint64_t len, uint32_t access)
{
        const struct region *region = &mem->region[0];
        struct span span;

        if (!len || guest_span_dma(mem, (struct gpa){ iova }, len, access, &span) < 0)
                return;
        if ((char SHARED *) span.at < region->mapped || span.len == 0 || span.len > len ||
            (char SHARED *) span.at + span.len > region->mapped + region->len)
                abort();
        guest_first_miss(mem, (struct gpa){ iova }, len, access);
}

static void check_order(const struct iotlb *tlb)
{
        for (unsigned i = 0; i < tlb->n; i++)
                if (tlb->entry[i].iova > tlb->entry[i].last ||
                    (i && tlb->entry[i - 1].last >= tlb->entry[i].iova))
                        abort();
}

static void make(struct iotlb *tlb, struct guest_mem *mem)
{
        const struct ipc_region region = { .uva = 0, .gpa = 1 << 20, .size = REGION };
        int file = memfd_create("guest", MFD_CLOEXEC);

        if (file < 0 || ftruncate(file, REGION) < 0 || iotlb_init(tlb) < 0 || guest_mem_init(mem) < 0 ||
            guest_mem_add(mem, 0, &region, file) < 0)
                abort();
        mem->iotlb = tlb;
        close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct iotlb tlb;
        static struct guest_mem mem;
        struct input input = { data, size };
        struct model model = { .n = 0 };

        if (!mem.n)
                make(&tlb, &mem);
        iotlb_clear(&tlb);
        while (input.left) {
                struct ipc_iotlb claim;
                uint8_t what;

                take(&input, &what, 1);
                claim = claim_of(&input, what);
                if ((what & 3) == 0) {
                        add(&tlb, &model, &claim);
                } else if ((what & 3) == 1 && claim.last >= claim.iova) {
                        iotlb_remove(&tlb, claim.iova, claim.last);
                        model_remove(&model, &claim);
                } else if ((what & 3) == 3 && claim.access == 3) {
                        iotlb_clear(&tlb);
                        model.n = 0;
                }
                compare(&tlb, &model, claim.iova, claim.access);
                compare(&tlb, &model, claim.last, claim.access);
                ask(&mem, claim.iova, claim.uva, claim.access);
                check_order(&tlb);
        }
        return 0;
}
