/*
 * Replay: the sequence that the ledger alone gives, and a worker's successor that gets it.
 */
#include "rig.h"

#include "array.h"
#include "replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(an_empty_ledger_has_none)
{
        struct ledger *ledger = malloc(sizeof(*ledger));
        struct replay replay = { 0 };
        struct proposal proposal;

        ledger_init(ledger);
        ledger_set_vrings(ledger, 8);
        ck_assert(!replay_next(&replay, ledger, &proposal));
        ck_assert(!replay_next(&replay, ledger, &proposal));
        ledger_done(ledger);
        free(ledger);
}
END_TEST

static void fill(struct ledger *ledger)
{
        struct ipc_region region = { .gpa = 0x1000, .uva = 0x2000, .size = 0x3000, .offset = 0x4000 };

        ledger_init(ledger);
        ledger_set_vrings(ledger, 4);
        ledger->features = VERSION_1;
        ledger->has_features = true;
        ledger->inflight = (struct ledger_inflight){ .fd = { rig_file(1) }, .size = 64, .queues = 4, .queue_size = 8 };
        ledger_put_region(ledger, 0, &region, (struct fd){ rig_file(1) });
        ledger_put_region(ledger, 1, &region, (struct fd){ rig_file(1) });
        ledger_put_region(ledger, 7, &region, (struct fd){ rig_file(1) });
        ledger_drop_region(ledger, 1);
        for (unsigned i = 0; i < 4; i++)
                ledger->vring[i].size = 8 + i;
        ledger->vring[1].state = VRING_STARTED;
        ledger->vring[1].enabled = true;
        ledger->vring[1].base = 42;
        ledger->vring[1].call.num = rig_file(1);
        ledger->vring[2].state = VRING_BROKEN;
        ledger->vring[3].state = VRING_STARTED;
        ledger->vring[3].kick.num = rig_file(1);
        ledger->vring[3].err.num = rig_file(1);
        ledger_write_config(ledger, (const uint8_t[]){ 1, 2, 3, 4 }, (const uint8_t[]){ 7, 2, 8, 9 }, 4);
}

START_TEST(a_full_ledger_comes_in_the_order_of_needs)
{
        static const enum ipc_type order[] = { IPC_INFLIGHT,   IPC_FEATURES,   IPC_SET_CONFIG,  IPC_SET_CONFIG,
                                               IPC_REGION_ADD, IPC_REGION_ADD, IPC_VRING_START, IPC_VRING_START };
        struct ledger *ledger = malloc(sizeof(*ledger));
        struct replay replay = { 0 };
        struct proposal p[10];
        unsigned n = 0;

        fill(ledger);
        while (n < ARRAY_SIZE(p) && replay_next(&replay, ledger, &p[n]))
                n++;
        ck_assert_uint_eq(n, ARRAY_SIZE(order));
        for (unsigned i = 0; i < n; i++)
                ck_assert_int_eq(p[i].type, order[i]);
        ck_assert(p[0].inflight.size == 64 && p[0].n_fds == 1 && p[0].fd[0] == ledger->inflight.fd.num);
        ck_assert(p[1].features.acked == VERSION_1 && !p[1].features.enable_all);
        ck_assert(p[2].config.offset == 0 && p[2].config.size == 1 && p[2].config.bytes[0] == 7);
        ck_assert(p[3].config.offset == 2 && p[3].config.size == 2 && !memcmp(p[3].config.bytes, "\x08\x09", 2));
        ck_assert(p[2].length == sizeof(p[2].config) && p[2].n_fds == 0);
        ck_assert(p[4].region_add.slot == 0 && p[5].region_add.slot == 7 && p[5].region_add.region.offset == 0x4000);
        ck_assert(p[5].n_fds == 1 && p[5].fd[0] == ledger->region[7].fd.num);
        ck_assert(p[6].start.index == 1 && p[6].start.size == 9 && p[6].start.base == 42 && p[6].start.enabled == 1);
        ck_assert(p[6].start.resume == 1 && p[6].start.fds == IPC_CALL && p[6].n_fds == 1);
        ck_assert(p[7].start.index == 3 && p[7].start.enabled == 0 && p[7].start.fds == (IPC_KICK | IPC_ERR));
        ck_assert(p[7].fd[0] == ledger->vring[3].kick.num && p[7].fd[1] == ledger->vring[3].err.num);
        ledger_done(ledger);
        free(ledger);
}
END_TEST

START_TEST(memory_may_have_been_full)
{
        struct ipc_region region = { .size = 1 };
        struct ledger *ledger = malloc(sizeof(*ledger));
        struct replay replay = { 0 };
        struct proposal proposal;
        unsigned n = 0;

        ledger_init(ledger);
        for (unsigned i = 0; i < VU_MEM_SLOTS; i++)
                ledger_put_region(ledger, i, &region, (struct fd){ rig_file(1) });
        for (; replay_next(&replay, ledger, &proposal); n++)
                ck_assert_uint_eq(proposal.region_add.slot, n);
        ck_assert_uint_eq(n, VU_MEM_SLOTS);
        ledger_done(ledger);
        free(ledger);
}
END_TEST

static void serving(struct rig *rig)
{
        rig_init(rig);
        rig->s->may_restart = true;
        rig_negotiate(rig, RIG_PROTOCOL);
        rig_memory(rig);
        rig_start(rig, 0);
        rig_start(rig, 1);
        rig_tell_state(rig, VU_SET_VRING_ENABLE, 1, 1);
        rig_forget(rig);
}

static void kill_worker(struct rig *rig)
{
        close(rig->worker);
        rig->worker = -1;
        rig_run(rig);
        ck_assert(!rig->s->over);
        ck_assert_uint_eq(rig->n_wanted, 1);
}

START_TEST(a_successor_gets_all_and_the_front_end_waits)
{
        static const enum ipc_type order[] = { IPC_INFLIGHT, IPC_FEATURES, IPC_REGION_ADD, IPC_VRING_START,
                                               IPC_VRING_START };
        uint64_t features;
        struct rig rig;

        serving(&rig);
        kill_worker(&rig);
        rig_send(&rig, VU_GET_FEATURES, VU_VERSION, NULL, 0, NULL, 0); /* a barrier */
        ck_assert_int_eq(rig_reply(&rig, VU_GET_FEATURES, &features, 8, NULL), -1);
        rig_next_worker(&rig);
        ck_assert_uint_eq(rig.n_seen, 0);
        rig_ready(&rig);
        ck_assert_uint_eq(rig.n_seen, ARRAY_SIZE(order));
        for (unsigned i = 0; i < rig.n_seen; i++)
                ck_assert_uint_eq(rig.seen[i].header.type, order[i]);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig.seen[4].body)->enabled, 1);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig.seen[4].body)->resume, 1);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_FEATURES, &features, 8, NULL), 8);
        ck_assert_uint_eq(rig.n_serving, 2);
        rig_tell_fd(&rig, VU_SET_VRING_CALL, 0); /* life goes on */
        rig_done(&rig);
}
END_TEST

/* Byte 32 is what a disk's driver writes; the first bytes are its capacity. */
enum { CAPACITY = 0, WRITEBACK = 32 };

static void write_config(struct rig *rig, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
        struct vu_config config = { .offset = offset, .size = n };

        memcpy(config.bytes, bytes, n);
        ck_assert_uint_eq(rig_ask(rig, VU_SET_CONFIG, &config, offsetof(struct vu_config, bytes) + n, NULL, 0), 0);
}

static uint8_t read_config(struct rig *rig, uint32_t offset)
{
        struct vu_config config = { .offset = offset, .size = 1 };

        rig_send(rig, VU_GET_CONFIG, VU_VERSION, &config, 13, NULL, 0);
        ck_assert_int_eq(rig_reply(rig, VU_GET_CONFIG, &config, sizeof(config), NULL), 13);
        return config.bytes[0];
}

/* The next worker gets this byte, no other, ahead of the vrings; and the front-end reads what it read before. */
static void expect_config_replayed(struct rig *rig, uint8_t byte)
{
        static const enum ipc_type order[] = { IPC_INFLIGHT,   IPC_FEATURES,    IPC_SET_CONFIG,
                                               IPC_REGION_ADD, IPC_VRING_START, IPC_VRING_START };
        const struct ipc_set_config *seen;

        kill_worker(rig);
        rig->n_wanted = 0;
        rig_next_worker(rig);
        rig_forget(rig);
        rig_ready(rig);
        ck_assert_uint_eq(rig->n_seen, ARRAY_SIZE(order));
        for (unsigned i = 0; i < rig->n_seen; i++)
                ck_assert_uint_eq(rig->seen[i].header.type, order[i]);
        seen = (const void *) rig->seen[2].body;
        ck_assert(seen->offset == WRITEBACK && seen->size == 1 && seen->bytes[0] == byte);
        ck_assert_uint_eq(rig->config[WRITEBACK], byte);
        ck_assert_uint_eq(read_config(rig, WRITEBACK), byte);
}

START_TEST(what_the_driver_wrote_is_replayed)
{
        uint8_t whole[RIG_CONFIG];
        struct rig rig;

        serving(&rig);
        write_config(&rig, WRITEBACK, (const uint8_t[]){ 0 }, 1);
        expect_config_replayed(&rig, 0);
        memcpy(whole, rig.config, sizeof(whole));
        whole[WRITEBACK] = 1;
        write_config(&rig, 0, whole, sizeof(whole)); /* all the others as they are */
        expect_config_replayed(&rig, 1);
        expect_config_replayed(&rig, 1); /* a replay is no last word */
        rig_done(&rig);
}
END_TEST

/* As front-ends have it, who answer the next driver from what they know (worker/dev/blk.c). */
START_TEST(what_the_driver_wrote_outlives_a_reset)
{
        struct rig rig;

        serving(&rig);
        write_config(&rig, WRITEBACK, (const uint8_t[]){ 0 }, 1);
        rig_tell_u64(&rig, VU_RESET_DEVICE, 0);
        kill_worker(&rig);
        rig_next_worker(&rig);
        rig_forget(&rig);
        rig_ready(&rig);
        ck_assert_uint_eq(rig_count(&rig, IPC_SET_CONFIG), 1);
        ck_assert_uint_eq(rig.config[WRITEBACK], 0);
        ck_assert_uint_eq(read_config(&rig, WRITEBACK), 0);
        rig_done(&rig);
}
END_TEST

START_TEST(what_a_state_brought_is_replayed)
{
        struct rig rig;

        serving(&rig);
        rig.config[WRITEBACK] = 0;
        rig_tell_config(&rig, false);
        expect_config_replayed(&rig, 0);
        rig_done(&rig);
}
END_TEST

START_TEST(what_the_device_changed_itself_is_not_replayed)
{
        struct rig rig;

        serving(&rig);
        write_config(&rig, WRITEBACK, (const uint8_t[]){ 0 }, 1);
        rig.config[CAPACITY] = 99;
        rig_tell_config(&rig, true);
        ck_assert_uint_eq(read_config(&rig, CAPACITY), 99);
        expect_config_replayed(&rig, 0);
        ck_assert_uint_eq(read_config(&rig, CAPACITY), 1); /* the new worker's own */
        rig_done(&rig);
}
END_TEST

START_TEST(what_the_worker_refused_is_not_replayed)
{
        struct vu_config config = { .offset = WRITEBACK, .size = 1, .bytes = { 2 } };
        struct rig rig;

        serving(&rig);
        rig.refuse = -EINVAL;
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_CONFIG, &config, 13, NULL, 0), 1);
        rig.refuse = 0;
        kill_worker(&rig);
        rig_next_worker(&rig);
        rig_forget(&rig);
        rig_ready(&rig);
        ck_assert_uint_gt(rig.n_seen, 0);
        ck_assert_uint_eq(rig_count(&rig, IPC_SET_CONFIG), 0);
        rig_done(&rig);
}
END_TEST

START_TEST(a_pending_proposal_is_sent_once_more)
{
        struct vu_vring_state state = { .index = 1 };
        struct rig rig;

        serving(&rig);
        rig.silent = true;
        rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
        rig_got(&rig, IPC_VRING_STOP);
        kill_worker(&rig);
        rig_forget(&rig);
        rig_next_worker(&rig);
        rig.silent = false;
        rig.value = 15;
        rig_ready(&rig);
        ck_assert_uint_eq(((const struct ipc_vring_stop *) rig_got(&rig, IPC_VRING_STOP))->index, 1);
        ck_assert_uint_eq(rig_count(&rig, IPC_VRING_STOP), 1);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), 8);
        ck_assert_uint_eq(state.num, 15);
        rig_done(&rig);
}
END_TEST

/* If the worker dies of the start, a successor resumes: the life before must be out of the area by then. */
START_TEST(a_drained_vring_is_forgotten_before_it_starts)
{
        struct vu_vring_state state = { .index = 1 };
        uint64_t word = 1;
        int fd = rig_file(0);
        struct rig rig;

        serving(&rig);
        rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), 8);
        rig.silent = true;
        rig_forget(&rig);
        rig_send(&rig, VU_SET_VRING_KICK, VU_VERSION, &word, sizeof(word), &fd, 1);
        ck_assert_uint_eq(((const struct ipc_vring_forget *) rig_got(&rig, IPC_VRING_FORGET))->index, 1);
        kill_worker(&rig);
        rig_forget(&rig);
        rig_next_worker(&rig);
        rig.silent = false;
        rig_ready(&rig);
        ck_assert_uint_eq(rig_count(&rig, IPC_VRING_FORGET), 1);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->index, 1);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->resume, 0);
        ck_assert_int_eq(rig.s->ledger.vring[1].state, VRING_STARTED);
        rig_done(&rig);
        close(fd);
}
END_TEST

START_TEST(a_pending_start_resumes)
{
        struct vu_vring_addr addr = rig_addr(2);
        uint64_t word = 2;
        int fd = rig_file(0);
        struct rig rig;

        serving(&rig);
        rig_tell_state(&rig, VU_SET_VRING_NUM, 2, 128);
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        rig.silent = true;
        rig_send(&rig, VU_SET_VRING_KICK, VU_VERSION, &word, sizeof(word), &fd, 1);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->resume, 0);
        kill_worker(&rig);
        rig_next_worker(&rig);
        rig.silent = false;
        rig_ready(&rig);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->index, 2);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->resume, 1);
        ck_assert_int_eq(rig.s->ledger.vring[2].state, VRING_STARTED);
        rig_done(&rig);
        close(fd);
}
END_TEST

START_TEST(a_successor_may_die_too)
{
        struct rig rig;

        serving(&rig);
        kill_worker(&rig);
        rig.n_wanted = 0;
        rig_next_worker(&rig);
        rig.silent = true;
        rig_ready(&rig); /* in the middle of its replay */
        kill_worker(&rig);
        rig.n_wanted = 0;
        rig_next_worker(&rig);
        rig.silent = false;
        rig_forget(&rig);
        rig_ready(&rig);
        ck_assert_uint_eq(rig.n_seen, 5); /* from its beginning */
        ck_assert(link_idle(&rig.s->link));
        rig_done(&rig);
}
END_TEST

START_TEST(a_successor_that_offers_less_is_none)
{
        struct ipc_ready ready = { .features = VERSION_1, .device = 2, .queues = RIG_QUEUES, .queue_size_max = 1024 };
        struct rig rig;

        serving(&rig);
        kill_worker(&rig);
        rig_next_worker(&rig);
        rig_from_worker(&rig, IPC_READY, 0, &ready, sizeof(ready));
        ck_assert(rig.s->over && rig.s->end == SESSION_WORKER_FAILED);
        rig_done(&rig);
}
END_TEST

START_TEST(a_refused_replay_ends_the_session)
{
        struct rig rig;

        serving(&rig);
        kill_worker(&rig);
        rig_next_worker(&rig);
        rig.refuse = -ENOMEM;
        rig.refuse_type = IPC_REGION_ADD;
        rig_ready(&rig);
        ck_assert(rig.s->over && rig.s->end == SESSION_WORKER_FAILED);
        ck_assert(rig_logged(&rig, "replay: REGION_ADD refused by the worker: ENOMEM"));
        rig_done(&rig);
}
END_TEST

START_TEST(without_leave_a_death_is_the_end)
{
        struct rig rig;

        serving(&rig);
        rig.s->may_restart = false;
        close(rig.worker);
        rig.worker = -1;
        rig_run(&rig);
        ck_assert(rig.s->over && rig.s->end == SESSION_WORKER_FAILED);
        ck_assert(rig_logged(&rig, "the worker has ended"));
        rig_done(&rig);
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = {
                &what_the_driver_wrote_is_replayed, &what_the_driver_wrote_outlives_a_reset,
                &what_a_state_brought_is_replayed, &what_the_device_changed_itself_is_not_replayed,
                &what_the_worker_refused_is_not_replayed,
                &an_empty_ledger_has_none, &a_full_ledger_comes_in_the_order_of_needs, &memory_may_have_been_full,
                &a_successor_gets_all_and_the_front_end_waits, &a_pending_proposal_is_sent_once_more,
                &a_pending_start_resumes, &a_drained_vring_is_forgotten_before_it_starts,
                &a_successor_may_die_too, &a_successor_that_offers_less_is_none,
                &a_refused_replay_ends_the_session, &without_leave_a_death_is_the_end,
        };

        return rig_main("replay", tests, ARRAY_SIZE(tests));
}
