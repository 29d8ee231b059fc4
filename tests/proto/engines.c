/*
 * What every engine and every device owes to the common code: several loops, kicks by other things than eventfds,
 * memory that comes and goes meanwhile.
 */
#include "drv_rng.h"
#include "fe_postcopy.h"
#include "rig.h"

#include "array.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
        const char *type, *engine;
        unsigned queues;
} kinds[] = { { "block", "uring", 2 }, { "block", "sync", 2 }, { "block", "null", 2 }, { "rng", NULL, 1 } };

/* From now on a pipe kicks. */
static void kick_by_pipe(struct fe_device *device, unsigned index)
{
        struct drv_vring *v = device->vring[index];
        int ends[2];

        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        OK(fe_set_vring_fd(&device->conn, VU_SET_VRING_KICK, index, ends[0]));
        close(ends[0]);
        fd_close(&v->kick);
        v->kick.num = ends[1];
}

/* The same with the filters of devices that postcopy is configured for; where the host has none, they are not in use. */
static struct fe_device start(const struct rig *rig, unsigned queues, bool by_postcopy)
{
        struct fe_postcopy postcopy;
        struct fe_device device = rig_device(rig, (struct fe_options){ .queues = queues,
                                                                       .postcopy = by_postcopy ? &postcopy : NULL });

        if (by_postcopy) {
                OK(fe_postcopy_finish(&postcopy));
                OK(fe_postcopy_end(&device));
                fe_postcopy_done(&postcopy);
        }
        return device;
}

static void use(struct fe_device *device, unsigned index, const char *type)
{
        struct drv_blk blk;
        struct fe_buf buf;
        uint8_t sector[512];
        uint32_t got;

        if (!strcmp(type, "rng")) {
                OK(fe_mem_alloc(device->mem, 0, 64, 64, &buf));
                OK(drv_rng_read(device->vring[index], &buf, 64, &got));
                return;
        }
        blk = rig_blk(device, index);
        OK(drv_blk_read(&blk, 1, sector, sizeof(sector)));
        drv_blk_done(&blk);
}

START_TEST(loops_pipes_and_memory)
{
        bool by_postcopy = _i >= (int) ARRAY_SIZE(kinds);
        const unsigned kind = (unsigned) _i % ARRAY_SIZE(kinds);
        RIG_WITH(rig, .type = kinds[kind].type, .engine = kinds[kind].engine, .queues = kinds[kind].queues,
                 .set = { "worker.threads=2", by_postcopy ? "device.postcopy=yes" : NULL });
        struct fe_device device = start(&rig, kinds[kind].queues, by_postcopy);
        const struct vu_region *more;
        unsigned index;

        OK(fe_mem_add(device.mem, UINT64_C(1) << 40, 1 << 20, 0, &index));
        more = &device.mem->part[index].region;
        for (unsigned i = 0; i < device.n; i++) {
                use(&device, i, kinds[kind].type);
                kick_by_pipe(&device, i);
                OK(fe_add_mem_reg(&device.conn, more, device.mem->part[index].fd.num));
                for (unsigned n = 0; n < 10; n++)
                        use(&device, i, kinds[kind].type);
                OK(fe_rem_mem_reg(&device.conn, more));
        }
        OK(fe_device_stop(&device));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("engines");
        TCase *all = tcase_create("all");
        const bool postcopy = access("/dev/userfaultfd", R_OK | W_OK) == 0;
        int r;

        tcase_set_timeout(all, 60);
        tcase_add_loop_test(all, loops_pipes_and_memory, 0, (postcopy ? 2 : 1) * ARRAY_SIZE(kinds));
        suite_add_tcase(suite, all);
        r = rig_main(suite);
        if (!postcopy)
                puts("left out: all with Postcopy=yes: the host has no /dev/userfaultfd for us");
        return r;
}
