/*
 * What the addresses of a guest behind an IOMMU stand for, as far as the front-end has told: a bounded cache
 * (vhost-user, "IOMMU support"). Read by all loops, changed only while they are parked.
 */
#pragma once

#include "ipc.h"

#include <stdbool.h>
#include <stdint.h>

enum { IOTLB_MAX = 4096 }; /* entries; more than the pages of one long request */

struct iotlb_entry {
        uint64_t iova, last; /* inclusive */
        uint64_t uva;
        uint32_t access; /* enum ipc_access */
};

/* Sorted by iova, without overlaps. */
struct iotlb {
        struct iotlb_entry *entry; /* room for IOTLB_MAX, filled lazily */
        unsigned n;
        unsigned victim; /* who goes next when there is no room */
};

/* Empty; owns its room. -errno. */
int iotlb_init(struct iotlb *tlb);

/* Forgets all. */
void iotlb_clear(struct iotlb *tlb);

/* Does anything stand for one of these addresses, other than just this? */
bool iotlb_conflicts(const struct iotlb *tlb, const struct ipc_iotlb *what);

/* Takes away what overlaps [iova, last], whole entries. */
void iotlb_remove(struct iotlb *tlb, uint64_t iova, uint64_t last);

/* Adds an entry that conflicts with none; another may have to go for it. */
void iotlb_add(struct iotlb *tlb, const struct ipc_iotlb *what);

/* What an address stands for, and for how many bytes on (1..). -EAGAIN: not known, or not for this access. */
int iotlb_find(const struct iotlb *tlb, uint64_t iova, uint32_t access, uint64_t *ret_uva, uint64_t *ret_len);
