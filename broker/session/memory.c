/*
 * Guest memory: judged here, mapped by the worker, kept here as descriptors for the worker's successor.
 * A table is taken whole or not at all. Front-ends are hostile: all numbers and files are theirs.
 */
#include "memory.h"

#include "handlers.h"
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

int memory_check_region(const struct vu_region *region)
{
        uint64_t end;

        if (region->size == 0)
                return -EINVAL;
        if (__builtin_add_overflow(region->gpa, region->size, &end) ||
            __builtin_add_overflow(region->uva, region->size, &end) ||
            __builtin_add_overflow(region->offset, region->size, &end) || end > INT64_MAX)
                return -EOVERFLOW;
        return 0;
}

static bool meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
        return a < b + b_size && b < a + a_size;
}

bool memory_overlap(const struct ipc_region *a, const struct vu_region *b)
{
        return meet(a->gpa, a->size, b->gpa, b->size) || meet(a->uva, a->size, b->uva, b->size);
}

int memory_check_file(int fd, const struct vu_region *region)
{
        struct stat file;

        if (fstat(fd, &file) < 0)
                return -errno;
        if (!S_ISREG(file.st_mode))
                return -EINVAL;
        return (uint64_t) file.st_size >= region->offset + region->size ? 0 : -ERANGE;
}

static struct ipc_region to_ipc(const struct vu_region *region)
{
        return (struct ipc_region){ .gpa = region->gpa, .uva = region->uva, .size = region->size,
                                    .offset = region->offset };
}

static int check_one(struct session *s, int fd, const struct vu_region *region)
{
        int r = memory_check_region(region);

        if (r < 0)
                return session_fail(s, r, "gpa 0x%" PRIx64 ", uva 0x%" PRIx64 ", offset 0x%" PRIx64 " + 0x%" PRIx64,
                                    region->gpa, region->uva, region->offset, region->size);
        r = memory_check_file(fd, region);
        if (r < 0)
                return session_fail(s, r, "gpa 0x%" PRIx64 ": file with 0x%" PRIx64 " bytes at 0x%" PRIx64, region->gpa,
                                    region->size, region->offset);
        return 0;
}

static int check_overlap(struct session *s, unsigned slot, const struct ipc_region *have,
                         const struct vu_region *region)
{
        if (!memory_overlap(have, region))
                return 0;
        return session_fail(s, -EEXIST, "gpa 0x%" PRIx64 "+0x%" PRIx64 " overlaps slot %u", region->gpa, region->size,
                            slot);
}

static int check_total(struct session *s, uint64_t have, const struct vu_region *region)
{
        const uint64_t most = s->allowed.limits.memory;

        if (have <= most && region->size <= most - have)
                return 0;
        return session_fail(s, -ENOMEM, "0x%" PRIx64 " bytes: too much memory", region->size);
}

static int table_accepted(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        ledger_drop_regions(&s->ledger);
        for (unsigned i = 0; i < m->table.n; i++) {
                struct ipc_region at = to_ipc(&m->table.region[i]);

                ledger_put_region(&s->ledger, i, &at, fd_take(&m->fd[i]));
        }
        ledger_break_vrings(&s->ledger);
        return postcopy_listens(s) ? postcopy_reply_table(s) : 0;
}

/* Region i of the table, against its file and the regions before it, which are in the proposal already. */
static int check_of_table(struct session *s, struct vu_msg *m, unsigned i, const struct proposal *before)
{
        const struct vu_region *region = &m->table.region[i];
        uint64_t total = 0;
        int r = check_one(s, m->fd[i].num, region);

        for (unsigned j = 0; r == 0 && j < i; j++) {
                total += before->mem_table.region[j].size;
                r = check_overlap(s, j, &before->mem_table.region[j], region);
        }
        return r < 0 ? r : check_total(s, total, region);
}

int set_mem_table(struct session *s, struct vu_msg *m)
{
        struct proposal proposal = { .type = IPC_MEM_TABLE, .length = sizeof(proposal.mem_table) };
        uint32_t n = m->table.n;

        if (postcopy_is_go_ahead(s, m))
                return postcopy_go_ahead(s);
        if (n < 1 || n > VU_TABLE_REGIONS_MAX)
                return session_fail(s, -EINVAL, "%u regions", n);
        if (m->header.size < offsetof(struct vu_mem_table, region) + n * sizeof(struct vu_region))
                return session_fail(s, -EBADMSG, "%u regions in %u bytes", n, m->header.size);
        if (m->n_fds != n)
                return session_fail(s, -EBADMSG, "%u regions, %u descriptors", n, m->n_fds);
        for (unsigned i = 0; i < n; i++) {
                int r = check_of_table(s, m, i, &proposal);

                if (r < 0)
                        return r;
                proposal.mem_table.region[i] = to_ipc(&m->table.region[i]);
                proposal.fd[i] = m->fd[i].num;
        }
        proposal.mem_table.n = n;
        proposal.n_fds = n;
        return link_propose(s, &proposal, table_accepted);
}

int get_max_mem_slots(struct session *s, struct vu_msg *m)
{
        (void) m;
        return vu_reply_u64(s, s->allowed.limits.regions);
}

static int region_accepted(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) value;
        const struct ipc_region_add *add = &s->link.proposal.region_add;

        ledger_put_region(&s->ledger, add->slot, &add->region, fd_take(&m->fd[0]));
        return postcopy_listens(s) ? postcopy_reply_region(s, add->slot) : 0;
}

int add_mem_reg(struct session *s, struct vu_msg *m)
{
        const struct vu_region *region = &m->region.region;
        int slot = ledger_free_slot(&s->ledger);
        struct ipc_region at = to_ipc(region);
        struct proposal proposal;
        uint64_t total = 0;
        int r;

        if (postcopy_is_go_ahead(s, m))
                return postcopy_go_ahead(s);
        if (m->header.size != sizeof(m->region))
                return session_fail(s, -EBADMSG, "payload of %u bytes", m->header.size);
        if (m->n_fds != 1)
                return session_fail(s, -EBADMSG, "no descriptor");
        if (slot < 0 || (unsigned) slot >= s->allowed.limits.regions)
                return session_fail(s, -ENOSPC, "gpa 0x%" PRIx64 ": all %u slots are in use", region->gpa,
                                    s->allowed.limits.regions);
        r = check_one(s, m->fd[0].num, region);
        for (unsigned i = 0; r == 0 && i < s->ledger.n_slots; i++) {
                if (!fd_has(&s->ledger.region[i].fd))
                        continue;
                total += s->ledger.region[i].at.size;
                r = check_overlap(s, i, &s->ledger.region[i].at, region);
        }
        if (r == 0)
                r = check_total(s, total, region);
        if (r < 0)
                return r;
        proposal_region_add(&proposal, (unsigned) slot, &at, m->fd[0].num);
        return link_propose(s, &proposal, region_accepted);
}

static int region_removed(struct session *s, struct vu_msg *m, uint64_t value)
{
        (void) m;
        (void) value;
        ledger_drop_region(&s->ledger, s->link.proposal.region_del.slot);
        ledger_break_vrings(&s->ledger);
        return 0;
}

/* Some front-ends send the region's descriptor along; it is not needed. */
int rem_mem_reg(struct session *s, struct vu_msg *m)
{
        const struct vu_region *region = &m->region.region;
        struct proposal proposal = { .type = IPC_REGION_DEL, .length = sizeof(proposal.region_del) };
        int slot = ledger_find_slot(&s->ledger, region);

        if (slot < 0)
                return session_fail(s, slot, "gpa 0x%" PRIx64 ", uva 0x%" PRIx64 ", size 0x%" PRIx64, region->gpa,
                                    region->uva, region->size);
        proposal.region_del.slot = (uint32_t) slot;
        return link_propose(s, &proposal, region_removed);
}
