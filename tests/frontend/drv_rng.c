/*
 * An entropy driver.
 */
#include "drv_rng.h"
#include "fe_conn.h"

#include <errno.h>

int drv_rng_read(struct drv_vring *v, const struct fe_buf *buf, uint32_t n, uint32_t *ret_got)
{
        struct drv_seg seg = { buf->gpa, n, true };
        struct drv_used used;
        int r;

        if (n > buf->size)
                return -E2BIG;
        r = drv_add(v, &seg, 1, DRV_DIRECT, NULL);
        if (r)
                return r;
        drv_kick(v);
        r = drv_take(v, FE_TIMEOUT_MS, &used);
        if (r)
                return r;
        if (!used.len || used.len > n)
                return -EBADMSG;
        *ret_got = used.len;
        return 0;
}
