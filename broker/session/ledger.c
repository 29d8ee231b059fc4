/*
 * The ledger: filling, emptying, looking up. Judges no message; its callers have.
 */
#include "ledger.h"

#include "virtio.h"

#include <errno.h>
#include <string.h>

void ledger_init(struct ledger *ledger)
{
        ledger->features = 0;
        ledger->log_all = false;
        ledger->iommu = false;
        ledger->has_features = false;
        ledger->protocol = 0;
        ledger->status = 0;
        ledger->backend = FD_NONE;
        ledger->inflight = (struct ledger_inflight){ .fd = FD_NONE };
        ledger->log = (struct ledger_log){ .fd = FD_NONE };
        ledger->log_call = FD_NONE;
        memset(ledger->config.written, 0, sizeof(ledger->config.written));
        ledger->n_slots = 0;
        ledger->n_vrings = 0;
}

void ledger_done(struct ledger *ledger)
{
        ledger_drop_regions(ledger);
        for (unsigned i = 0; i < ledger->n_vrings; i++) {
                fd_close(&ledger->vring[i].kick);
                fd_close(&ledger->vring[i].call);
                fd_close(&ledger->vring[i].err);
        }
        fd_close(&ledger->inflight.fd);
        fd_close(&ledger->log.fd);
        fd_close(&ledger->log_call);
        fd_close(&ledger->backend);
}

void ledger_set_vrings(struct ledger *ledger, unsigned n)
{
        for (; ledger->n_vrings < n; ledger->n_vrings++)
                ledger->vring[ledger->n_vrings] =
                        (struct ledger_vring){ .kick = FD_NONE, .call = FD_NONE, .err = FD_NONE };
}

struct ledger_vring *ledger_vring(struct ledger *ledger, uint64_t index)
{
        return index < ledger->n_vrings ? &ledger->vring[index] : NULL;
}

bool ledger_running(const struct ledger *ledger)
{
        for (unsigned i = 0; i < ledger->n_vrings; i++)
                if (ledger->vring[i].state != VRING_STOPPED)
                        return true;
        return false;
}

void ledger_write_config(struct ledger *ledger, const uint8_t *before, const uint8_t *after, uint32_t n)
{
        struct ledger_config *config = &ledger->config;

        for (uint32_t i = 0; i < n; i++) {
                if (after[i] == before[i])
                        continue;
                config->written[i] = true;
                config->bytes[i] = after[i];
        }
}

int ledger_free_slot(const struct ledger *ledger)
{
        for (unsigned i = 0; i < ledger->n_slots; i++)
                if (!fd_has(&ledger->region[i].fd))
                        return (int) i;
        return ledger->n_slots < VU_MEM_SLOTS ? (int) ledger->n_slots : -ENOSPC;
}

int ledger_find_slot(const struct ledger *ledger, const struct vu_region *region)
{
        for (unsigned i = 0; i < ledger->n_slots; i++) {
                const struct ledger_region *have = &ledger->region[i];

                if (fd_has(&have->fd) && have->at.gpa == region->gpa && have->at.uva == region->uva &&
                    have->at.size == region->size)
                        return (int) i;
        }
        return -ENOENT;
}

void ledger_put_region(struct ledger *ledger, unsigned slot, const struct ipc_region *at, struct fd fd)
{
        for (; ledger->n_slots <= slot; ledger->n_slots++)
                ledger->region[ledger->n_slots].fd = FD_NONE;
        ledger->region[slot].at = *at;
        ledger->region[slot].fd = fd;
}

void ledger_drop_region(struct ledger *ledger, unsigned slot)
{
        fd_close(&ledger->region[slot].fd);
}

void ledger_drop_regions(struct ledger *ledger)
{
        for (unsigned i = 0; i < ledger->n_slots; i++)
                ledger_drop_region(ledger, i);
        ledger->n_slots = 0;
}

bool ledger_has_uva(const struct ledger *ledger, uint64_t uva, uint64_t bytes)
{
        for (unsigned i = 0; i < ledger->n_slots; i++) {
                const struct ledger_region *region = &ledger->region[i];
                uint64_t offset = uva - region->at.uva; /* below the region this wraps past its size */

                if (fd_has(&region->fd) && offset < region->at.size && bytes <= region->at.size - offset)
                        return true;
        }
        return false;
}

uint64_t ledger_gpa_end(const struct ledger *ledger)
{
        uint64_t end = 0;

        for (unsigned i = 0; i < ledger->n_slots; i++) {
                const struct ledger_region *region = &ledger->region[i];

                if (fd_has(&region->fd) && region->at.gpa + region->at.size > end)
                        end = region->at.gpa + region->at.size;
        }
        return end;
}

bool ledger_packed(const struct ledger *ledger)
{
        return ledger->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}

bool ledger_vring_in_memory(const struct ledger *ledger, const struct ledger_vring *vring)
{
        if (ledger->iommu)
                return true;
        if (ledger_packed(ledger))
                return ledger_has_uva(ledger, vring->addr.desc,
                                      vring->size * (uint64_t) sizeof(struct vring_packed_desc)) &&
                       ledger_has_uva(ledger, vring->addr.avail, sizeof(struct vring_packed_event)) &&
                       ledger_has_uva(ledger, vring->addr.used, sizeof(struct vring_packed_event));
        return ledger_has_uva(ledger, vring->addr.desc, vring_desc_bytes(vring->size)) &&
               ledger_has_uva(ledger, vring->addr.avail, vring_avail_bytes(vring->size)) &&
               ledger_has_uva(ledger, vring->addr.used, vring_used_bytes(vring->size));
}

void ledger_break_vrings(struct ledger *ledger)
{
        for (unsigned i = 0; i < ledger->n_vrings; i++) {
                struct ledger_vring *vring = &ledger->vring[i];

                if (vring->state == VRING_STARTED && !ledger_vring_in_memory(ledger, vring))
                        vring->state = VRING_BROKEN;
        }
}
