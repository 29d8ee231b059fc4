/*
 * The session's part in a live migration: the log that a front-end may set, what is switched on running vrings, and
 * that a worker's successor learns it all.
 */
#include "rig.h"

#include "array.h"

#include <string.h>
#include <unistd.h>

enum { ENOUGH = 64 }; /* bytes of log for RIG_MEMORY: a bit per 4096 */

static void up(struct rig *rig)
{
        rig_init(rig);
        rig->s->may_restart = true;
        rig_negotiate(rig, RIG_PROTOCOL);
        rig_memory(rig);
        rig_start(rig, 0);
        rig_forget(rig);
}

static void send_log(struct rig *rig, uint32_t flags, struct vu_log log, uint64_t file, unsigned n_fds)
{
        int fd = rig_file(file);

        rig_send(rig, VU_SET_LOG_BASE, VU_VERSION | flags, &log, sizeof(log), &fd, n_fds);
        close(fd);
}

static void set_log(struct rig *rig, uint64_t size)
{
        struct vu_log log = { 0 };

        send_log(rig, 0, (struct vu_log){ .size = size }, size, 1);
        ck_assert_int_eq(rig_reply(rig, VU_SET_LOG_BASE, &log, sizeof(log), NULL), sizeof(log));
        ck_assert_uint_eq(log.size, size);
        ck_assert_uint_eq(log.offset, 0);
}

/* Answered whether an ack was asked for or not. */
START_TEST(echoes_the_request)
{
        const struct ipc_dirty_log *got;
        struct vu_log log;
        struct rig rig;

        up(&rig);
        set_log(&rig, ENOUGH);
        got = rig_got(&rig, IPC_DIRTY_LOG);
        ck_assert(got->size == ENOUGH && got->offset == 0);
        send_log(&rig, VU_FLAG_NEED_REPLY, (struct vu_log){ 100, 8 }, 108, 1);
        ck_assert_int_eq(rig_reply(&rig, VU_SET_LOG_BASE, &log, sizeof(log), NULL), sizeof(log));
        ck_assert(log.size == 100 && log.offset == 8);
        got = rig_got(&rig, IPC_DIRTY_LOG);
        ck_assert(got->size == 100 && got->offset == 8);
        rig_done(&rig);
}
END_TEST

static const struct {
        const char *why;
        struct vu_log log;
        uint64_t file;
        unsigned n_fds;
} bad[] = {
        { "no descriptor", { ENOUGH, 0 }, ENOUGH, 0 },
        { "bytes for memory", { 0, 0 }, ENOUGH, 1 },
        { "bytes for memory", { RIG_MEMORY / 4096 / 8 - 1, 0 }, ENOUGH, 1 },
        { "alignment", { ENOUGH, 4 }, 2 * ENOUGH, 1 },
        { "file with", { ENOUGH, 0 }, ENOUGH - 1, 1 },
        { "file with", { ENOUGH, 8 }, ENOUGH, 1 },
        { "EOVERFLOW", { UINT64_MAX, 8 }, ENOUGH, 1 },
        { "EOVERFLOW", { ENOUGH, UINT64_MAX - 7 }, ENOUGH, 1 },
};

/* Nothing of the log before is lost by a refusal; without an ack, closing is the only one. */
START_TEST(refuses_a_log_that_does_not_do)
{
        uint64_t nack = 0;
        struct rig rig;

        up(&rig);
        set_log(&rig, 128);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                rig.n_lines = 0;
                rig.s->log.limit = (struct log_limit){ 0 };
                rig_forget(&rig);
                send_log(&rig, VU_FLAG_NEED_REPLY, bad[i].log, bad[i].file, bad[i].n_fds);
                ck_assert_int_eq(rig_reply(&rig, VU_SET_LOG_BASE, &nack, sizeof(nack), NULL), sizeof(nack));
                ck_assert_uint_eq(nack, 1);
                ck_assert_msg(rig_logged(&rig, bad[i].why), "%u: %s", i, rig.line[0]);
                ck_assert_uint_eq(rig.n_seen, 0);
        }
        ck_assert_uint_eq(rig.s->ledger.log.size, 128);
        send_log(&rig, 0, (struct vu_log){ ENOUGH, 0 }, 1, 1);
        ck_assert(rig.s->over);
        rig_done(&rig);
}
END_TEST

START_TEST(keeps_the_old_log_if_the_worker_refuses)
{
        uint64_t nack;
        struct rig rig;

        up(&rig);
        set_log(&rig, 128);
        rig.refuse = -12;
        send_log(&rig, VU_FLAG_NEED_REPLY, (struct vu_log){ 256, 0 }, 256, 1);
        ck_assert_int_eq(rig_reply(&rig, VU_SET_LOG_BASE, &nack, sizeof(nack), NULL), sizeof(nack));
        ck_assert_uint_eq(rig.s->ledger.log.size, 128);
        rig_done(&rig);
}
END_TEST

START_TEST(switches_logging_of_running_vrings)
{
        uint64_t features = VERSION_1 | BIT30 | LOG_ALL, other = features | 1 << 9;
        struct vu_vring_addr addr = rig_addr(0);
        const struct ipc_features *switched;
        const struct ipc_vring_log *ring;
        struct rig rig;

        up(&rig);
        set_log(&rig, ENOUGH);
        rig_tell_state(&rig, VU_SET_VRING_ENABLE, 0, 1);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &features, 8, NULL, 0), 0);
        switched = rig_got(&rig, IPC_FEATURES);
        ck_assert(switched->acked == VERSION_1 && switched->log_all && !switched->enable_all);
        rig_forget(&rig);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &other, 8, NULL, 0), 1); /* only the log may change */
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &features, 8, NULL, 0), 0);
        ck_assert_uint_eq(rig_count(&rig, IPC_FEATURES), 0); /* nothing new */
        addr.flags = VU_VRING_F_LOG;
        addr.log = 0x8000;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
        ring = rig_got(&rig, IPC_VRING_LOG);
        ck_assert(ring->index == 0 && ring->flags == VU_VRING_F_LOG && ring->log == 0x8000);
        rig_forget(&rig);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
        ck_assert_uint_eq(rig_count(&rig, IPC_VRING_LOG), 0);
        addr.flags = 0;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
        ring = rig_got(&rig, IPC_VRING_LOG);
        ck_assert_uint_eq(ring->flags, 0);
        ck_assert_int_eq(rig.s->ledger.vring[0].state, VRING_STARTED);
        rig_done(&rig);
}
END_TEST

START_TEST(needs_a_log_that_can_be_shared)
{
        uint64_t features = VERSION_1 | BIT30 | LOG_ALL;
        struct rig rig;

        rig_init_early(&rig);
        rig.s->allowed.protocol_features &= ~(UINT64_C(1) << VU_PF_LOG_SHMFD);
        rig_ready(&rig);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, 1 << VU_PF_REPLY_ACK);
        ck_assert_uint_eq(rig_get(&rig, VU_GET_FEATURES) & LOG_ALL, 0);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_FEATURES, &features, 8, NULL, 0), 1);
        rig_done(&rig);
}
END_TEST

START_TEST(a_successor_goes_on_logging)
{
        static const enum ipc_type order[] = { IPC_INFLIGHT, IPC_DIRTY_LOG, IPC_DIRTY_LOG_FD, IPC_FEATURES,
                                               IPC_REGION_ADD, IPC_VRING_START };
        struct vu_vring_addr addr = rig_addr(0);
        const struct ipc_vring_start *start;
        struct rig rig;
        int fd;

        up(&rig);
        fd = rig_file(8);
        set_log(&rig, ENOUGH);
        rig_tell(&rig, VU_SET_LOG_FD, NULL, 0, &fd, 1);
        rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1 | BIT30 | LOG_ALL);
        addr.flags = VU_VRING_F_LOG;
        addr.log = 0x8000;
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        close(rig.worker);
        rig.worker = -1;
        rig_run(&rig);
        rig_forget(&rig);
        rig_next_worker(&rig);
        rig_ready(&rig);
        ck_assert_uint_eq(rig.n_seen, ARRAY_SIZE(order));
        for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
                ck_assert_uint_eq(rig.seen[i].header.type, order[i]);
        ck_assert(((const struct ipc_features *) rig.seen[3].body)->log_all);
        start = (const void *) rig.seen[5].body;
        ck_assert(start->flags == VU_VRING_F_LOG && start->log == 0x8000);
        rig_tell(&rig, VU_SET_LOG_FD, NULL, 0, NULL, 0);
        ck_assert_int_eq(rig.s->ledger.log_call.num, -1);
        close(fd);
        rig_done(&rig);
}
END_TEST

START_TEST(a_reset_ends_it)
{
        struct rig rig;

        up(&rig);
        set_log(&rig, ENOUGH);
        rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1 | BIT30 | LOG_ALL);
        rig_tell(&rig, VU_RESET_DEVICE, NULL, 0, NULL, 0);
        ck_assert(!rig.s->ledger.log_all);
        rig_done(&rig);
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = {
                &echoes_the_request, &refuses_a_log_that_does_not_do, &keeps_the_old_log_if_the_worker_refuses,
                &switches_logging_of_running_vrings, &needs_a_log_that_can_be_shared, &a_successor_goes_on_logging,
                &a_reset_ends_it,
        };

        return rig_main("dirty log", tests, ARRAY_SIZE(tests));
}
