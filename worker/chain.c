/*
 * Gathers chains and walks them. Every descriptor is copied once and judged in private memory; loops are bounded by
 * the vring's size, never by what the guest wrote.
 */
#include "chain.h"

#include "copy.h"

#include <errno.h>

struct gathering {
        const struct chain_source *source;
        unsigned n;     /* parts so far */
        unsigned n_out; /* of them readable by the device */
        unsigned n_writes;
        unsigned descs;
        uint64_t len, out_len; /* bytes */
        struct chain_fault *fault;
};

static int fault(struct gathering *g, int error, const char *what, uint64_t value)
{
        *g->fault = (struct chain_fault){ .what = what, .value = value };
        return error;
}

static int miss(struct gathering *g, uint64_t address, uint32_t access)
{
        *g->fault = (struct chain_fault){ .what = "iova 0x%llx is not known", .value = address, .access = access };
        return -EAGAIN;
}

static int gather_parts(struct gathering *g, struct gpa from, uint64_t len, bool write)
{
        uint32_t access = write ? IPC_WRITE : IPC_READ;

        while (len) {
                struct span part;
                int r;

                if (g->n == CHAIN_PARTS_MAX)
                        return fault(g, -E2BIG, "chain of more than 0x%llx parts", CHAIN_PARTS_MAX);
                r = guest_span_dma(g->source->mem, from, len, access, &part);
                if (r == -EAGAIN)
                        return miss(g, from.at, access);
                if (r < 0)
                        return fault(g, -EFAULT, "descriptor address 0x%llx outside of guest memory", from.at);
                g->source->scratch->part[g->n++] = shared_part(part.at, part.len);
                if (write && g->source->writes)
                        g->source->writes[g->n_writes++] = (struct gpa_range){ part.gpa, part.len };
                from.at += part.len;
                len -= part.len;
        }
        return 0;
}

static int gather_buffer(struct gathering *g, struct gpa from, uint32_t len, bool write)
{
        int r;

        if (++g->descs > CHAIN_DESCS_MAX)
                return fault(g, -E2BIG, "chain of more than 0x%llx descriptors", CHAIN_DESCS_MAX);
        if (!write && g->n > g->n_out)
                return fault(g, -EINVAL, "readable descriptor 0x%llx after a writable one", from.at);
        if (g->len + len > UINT32_MAX)
                return fault(g, -EINVAL, "chain of 0x%llx bytes", g->len + len);
        if (len && from.at + len - 1 < from.at)
                return fault(g, -EFAULT, "descriptor address 0x%llx wraps", from.at);
        r = gather_parts(g, from, len, write);
        if (r < 0)
                return r;
        g->len += len;
        if (!write) {
                g->n_out = g->n;
                g->out_len = g->len;
        }
        return 0;
}

static int gather_desc(struct gathering *g, const struct vring_desc *desc)
{
        return gather_buffer(g, (struct gpa){ le64toh(desc->addr) }, le32toh(desc->len),
                             le16toh(desc->flags) & VRING_DESC_F_WRITE);
}

static int gather_packed_desc(struct gathering *g, const struct vring_packed_desc *desc)
{
        return gather_buffer(g, (struct gpa){ le64toh(desc->addr) }, le32toh(desc->len),
                             le16toh(desc->flags) & VRING_DESC_F_WRITE);
}

/* An indirect table is copied whole before its first entry is looked at; its layout is the caller's business. */
static int read_table(struct gathering *g, struct gpa from, uint32_t len, uint16_t flags)
{
        int r;

        if (!g->source->indirect)
                return fault(g, -EINVAL, "indirect descriptor 0x%llx, not negotiated", from.at);
        if (flags & VRING_DESC_F_NEXT)
                return fault(g, -EINVAL, "indirect descriptor 0x%llx with NEXT", from.at);
        if (len == 0 || len % sizeof(struct vring_desc) || len / sizeof(struct vring_desc) > CHAIN_DESCS_MAX)
                return fault(g, -EINVAL, "indirect table of 0x%llx bytes", len);
        r = from.at + len - 1 < from.at ? -EFAULT : guest_read(g->source->mem, from, g->source->scratch->table, len);
        if (r == -EAGAIN)
                return miss(g, guest_first_miss(g->source->mem, from, len, IPC_READ), IPC_READ);
        if (r < 0)
                return fault(g, -EFAULT, "indirect table 0x%llx outside of guest memory", from.at);
        return 0;
}

static int gather_table(struct gathering *g, const struct vring_desc *desc)
{
        const struct vring_desc *table = g->source->scratch->table;
        struct gpa from = { le64toh(desc->addr) };
        uint32_t n = le32toh(desc->len) / sizeof(*table);
        uint16_t i = 0;
        int r = read_table(g, from, le32toh(desc->len), le16toh(desc->flags));

        if (r < 0)
                return r;
        for (;;) {
                uint16_t flags = le16toh(table[i].flags);

                if (flags & VRING_DESC_F_INDIRECT)
                        return fault(g, -EINVAL, "indirect descriptor inside of table 0x%llx", from.at);
                r = gather_desc(g, &table[i]);
                if (r < 0 || !(flags & VRING_DESC_F_NEXT))
                        return r;
                i = le16toh(table[i].next);
                if (i >= n)
                        return fault(g, -EINVAL, "next 0x%llx beyond its indirect table", i);
        }
}

/* Entries in their order, to the table's end; of their flags only WRITE means anything. */
static int gather_packed_table(struct gathering *g, const struct vring_packed_desc *desc)
{
        const struct vring_packed_desc *table = g->source->scratch->packed_table;
        uint32_t n = le32toh(desc->len) / sizeof(*table);
        int r = read_table(g, (struct gpa){ le64toh(desc->addr) }, le32toh(desc->len), le16toh(desc->flags));

        for (uint32_t i = 0; r == 0 && i < n; i++)
                r = gather_packed_desc(g, &table[i]);
        return r;
}

static int gather(struct gathering *g, uint16_t head)
{
        uint16_t i = head;

        for (uint32_t walked = 0; walked < g->source->size; walked++) {
                struct vring_desc desc;
                uint16_t flags;
                int r;

                shared_read_desc(&desc, &g->source->desc[i]);
                flags = le16toh(desc.flags);
                if (flags & VRING_DESC_F_INDIRECT)
                        return gather_table(g, &desc);
                r = gather_desc(g, &desc);
                if (r < 0 || !(flags & VRING_DESC_F_NEXT))
                        return r;
                i = le16toh(desc.next);
                if (i >= g->source->size)
                        return fault(g, -EINVAL, "next 0x%llx beyond the vring", i);
        }
        return fault(g, -E2BIG, "chain longer than its vring, from descriptor 0x%llx", head);
}

static int gather_packed(struct gathering *g, unsigned n)
{
        int r = 0;

        for (unsigned i = 0; r == 0 && i < n; i++) {
                const struct vring_packed_desc *desc = &g->source->scratch->list[i];

                if (le16toh(desc->flags) & VRING_DESC_F_INDIRECT)
                        return gather_packed_table(g, desc);
                r = gather_packed_desc(g, desc);
        }
        return r;
}

static void make_chain(const struct gathering *g, uint16_t head, struct iovec *spill, struct chain *ret_chain)
{
        struct iovec *parts = g->n <= CHAIN_PARTS_INLINE ? ret_chain->parts : spill;

        copy_few(parts, g->source->scratch->part, g->n * sizeof(*parts));
        ret_chain->head = head;
        ret_chain->writes = g->source->writes;
        ret_chain->n_writes = g->n_writes;
        ret_chain->out = (struct chain_cursor){ parts, g->n_out, g->out_len };
        ret_chain->in = (struct chain_cursor){ parts + g->n_out, g->n - g->n_out, g->len - g->out_len };
}

int chain_gather(const struct chain_source *source, uint16_t head, struct iovec *spill, struct chain *ret_chain,
                 struct chain_fault *ret_fault)
{
        struct gathering g = { .source = source, .fault = ret_fault };
        int r = gather(&g, head);

        if (r == 0)
                make_chain(&g, head, spill, ret_chain);
        return r;
}

int chain_gather_packed(const struct chain_source *source, unsigned n, uint16_t head, struct iovec *spill,
                        struct chain *ret_chain, struct chain_fault *ret_fault)
{
        struct gathering g = { .source = source, .fault = ret_fault };
        int r = gather_packed(&g, n);

        if (r == 0)
                make_chain(&g, head, spill, ret_chain);
        return r;
}

/* The first part of a cursor, at most n bytes of it. */
static struct iovec first_part(const struct chain_cursor *cursor, uint64_t n)
{
        struct iovec part = cursor->part[0];

        if (part.iov_len > n)
                part.iov_len = n;
        return part;
}

void chain_skip(struct chain_cursor *cursor, uint64_t n)
{
        cursor->left -= n;
        while (n) {
                struct iovec part = first_part(cursor, n);

                n -= part.iov_len;
                cursor->part[0].iov_base = (char *) cursor->part[0].iov_base + part.iov_len;
                cursor->part[0].iov_len -= part.iov_len;
                if (cursor->part[0].iov_len == 0) {
                        cursor->part++;
                        cursor->n--;
                }
        }
}

int chain_get(struct chain_cursor *from, void *to, uint64_t n)
{
        if (n > from->left)
                return -ENODATA;
        while (n) {
                struct iovec part = first_part(from, n);

                shared_read(to, part.iov_base, part.iov_len);
                to = (char *) to + part.iov_len;
                n -= part.iov_len;
                chain_skip(from, part.iov_len);
        }
        return 0;
}

int chain_put(struct chain_cursor *to, const void *from, uint64_t n)
{
        if (n > to->left)
                return -ENOSPC;
        while (n) {
                struct iovec part = first_part(to, n);

                shared_write(part.iov_base, from, part.iov_len);
                from = (const char *) from + part.iov_len;
                n -= part.iov_len;
                chain_skip(to, part.iov_len);
        }
        return 0;
}

uint64_t chain_zero(struct chain_cursor *to)
{
        uint64_t n = to->left;

        while (to->left) {
                shared_zero(to->part[0].iov_base, to->part[0].iov_len);
                chain_skip(to, to->part[0].iov_len);
        }
        return n;
}

int chain_tail(struct chain_cursor *cursor, uint8_t SHARED **ret_byte)
{
        struct iovec *last;

        if (cursor->left == 0)
                return -ENOSPC;
        last = &cursor->part[cursor->n - 1];
        last->iov_len--;
        cursor->left--;
        *ret_byte = (uint8_t *) last->iov_base + last->iov_len;
        if (last->iov_len == 0)
                cursor->n--;
        return 0;
}
