/*
 * What waits for requests in flight, with two loops.
 */
#include "holder.h"
#include "rig.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ring 0 has `n` requests in flight that do not end by themselves. */
static void up(struct rig *rig, unsigned n)
{
        const struct rig_part parts[] = { { RIG_GPA + RIG_DATA, 1, true } };
        struct ipc_device device = rig_device(IPC_ENGINE_NULL, 0);

        device.threads = 2;
        rig_init_own(rig, &device, -1, holder_run);
        rig_configure(rig, RIG_ACKED);
        for (unsigned i = 0; i < RIG_QUEUES; i++)
                ck_assert_int_eq(rig_ring_start(rig, i, false), 0);
        for (unsigned i = 0; i < n; i++) {
                rig_write_chain(&rig->ring[0], (uint16_t) i, parts, 1);
                rig_offer(&rig->ring[0], (uint16_t) i);
        }
        rig_kick(&rig->ring[0]);
        while (rig_taken(rig, 0) < n) /* each ping is a round of the loop */
                ck_assert_int_eq(rig_ask(rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0);
        ck_assert_int_eq(rig_ask(rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0); /* that round is over */
}

static struct stats_page page_of(const struct rig *rig, unsigned loop)
{
        struct stats_page page;

        ck_assert_int_eq(pread(rig->statistics, &page, sizeof(page), (off_t) loop * STATS_PAGE), sizeof(page));
        return page;
}

/* In flight, all loops together, by the statistics. */
static uint64_t counted(const struct rig *rig)
{
        uint64_t sum = 0;

        for (unsigned i = 0; i < rig->device.threads; i++)
                sum += page_of(rig, i).in_flight;
        return sum;
}

/* What the statistics say of a ring. */
static uint64_t claimed(const struct rig *rig, unsigned ring)
{
        return page_of(rig, ring % rig->device.threads).vring[ring / rig->device.threads];
}

static uint64_t busy(uint64_t n)
{
        return n << STATS_BUSY;
}

enum { RUNS = RIG_RING | STATS_STARTED | STATS_ENABLED };

/* Opens the gate and sends a ping, so that the loop has a look. Returns the ping's sequence. */
static uint32_t release(struct rig *rig)
{
        *(volatile uint8_t *) rig_at(rig, RIG_GPA + RIG_DATA) = 1;
        return rig_send(rig, IPC_PING, NULL, 0);
}

/* Nothing but pings is answered until the requests end; returns the answer that waited for them. */
static struct ipc_answer expect_wait(struct rig *rig, uint32_t waiting)
{
        struct ipc_answer first, second;
        uint32_t ping;

        for (unsigned i = 0; i < 10; i++)
                ck_assert_int_eq(rig_ask(rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0);
        ping = release(rig);
        first = rig_next_answer(rig);
        second = rig_next_answer(rig);
        ck_assert_uint_eq(first.reserved == ping ? second.reserved : first.reserved, waiting);
        return first.reserved == ping ? second : first;
}

START_TEST(a_stop_waits_for_requests_in_flight)
{
        struct ipc_vring_stop stop = { .index = 0 };
        struct ipc_answer answer;
        struct rig rig;
        uint32_t sequence;

        up(&rig, 5);
        sequence = rig_send(&rig, IPC_VRING_STOP, &stop, sizeof(stop));
        ck_assert_int_eq(rig_ask(&rig, IPC_PING, NULL, 0, NULL, 0, NULL), 0);
        ck_assert_uint_eq(claimed(&rig, 0), RUNS | STATS_DRAINS | busy(5));
        ck_assert_uint_eq(claimed(&rig, 1), RUNS);
        rig_offer(&rig.ring[0], 9); /* too late for this life */
        rig_kick(&rig.ring[0]);
        answer = expect_wait(&rig, sequence);
        ck_assert_uint_eq(answer.value, 5);
        ck_assert_uint_eq(counted(&rig), 0);
        ck_assert_uint_eq(claimed(&rig, 0), STATS_ENABLED);
        ck_assert_uint_eq(le16toh(rig.ring[0].used->idx), 5);
        rig_done(&rig);
}
END_TEST

/* By the statistics; what a predecessor had in flight is not. */
START_TEST(what_is_in_flight_is_counted)
{
        struct rig rig;

        up(&rig, 5);
        ck_assert_uint_eq(counted(&rig), 5);
        rig_kill(&rig);
        ck_assert_uint_eq(counted(&rig), 5);
        rig_spawn(&rig);
        ck_assert_uint_eq(counted(&rig), 0);
        rig_done(&rig);
}
END_TEST

/* Each ring where its own loop writes; of a predecessor, whatever it wrote, nothing. */
START_TEST(state_is_told)
{
        struct ipc_vring_enable off = { .index = 1 };
        struct stats_page page;
        struct rig rig;

        up(&rig, 5);
        page = page_of(&rig, 0);
        ck_assert_uint_eq(page.features, RIG_ACKED);
        ck_assert_uint_eq(page.regions, 2);
        ck_assert_uint_eq(page.memory, RIG_MEMORY);
        ck_assert_uint_eq(page.modes, 0);
        ck_assert_uint_eq(claimed(&rig, 0), RUNS | busy(5));
        for (unsigned i = 1; i < RIG_QUEUES; i++)
                ck_assert_uint_eq(claimed(&rig, i), RUNS);
        ck_assert_int_eq(rig_ask(&rig, IPC_VRING_ENABLE, &off, sizeof(off), NULL, 0, NULL), 0);
        ck_assert_uint_eq(claimed(&rig, 1), RIG_RING | STATS_STARTED);
        rig_kill(&rig);
        for (unsigned i = 0; i < rig.device.threads; i++) {
                memset(&page, 0xff, sizeof(page));
                ck_assert_int_eq(pwrite(rig.statistics, &page, sizeof(page), (off_t) i * STATS_PAGE), sizeof(page));
        }
        rig_spawn(&rig);
        for (unsigned i = 0; i < rig.device.threads; i++) {
                page = page_of(&rig, i);
                ck_assert_uint_eq(page.features | page.regions | page.memory | page.modes, 0);
                for (unsigned slot = 0; slot < STATS_VRINGS; slot++)
                        ck_assert_uint_eq(page.vring[slot], 0);
        }
        rig_done(&rig);
}
END_TEST

START_TEST(memory_is_not_taken_from_requests_in_flight)
{
        struct ipc_region_del del = { .slot = 1 };
        struct rig rig;

        up(&rig, 3);
        expect_wait(&rig, rig_send(&rig, IPC_REGION_DEL, &del, sizeof(del)));
        rig_wait_used(&rig.ring[0], 3);
        rig_done(&rig);
}
END_TEST

START_TEST(a_reset_waits_too)
{
        struct rig rig;

        up(&rig, 3);
        expect_wait(&rig, rig_send(&rig, IPC_RESET, NULL, 0));
        rig_done(&rig);
}
END_TEST

/* What is in flight has not noted where it writes: logging begins behind it, and the vrings go on. */
START_TEST(logging_begins_behind_requests_in_flight)
{
        struct ipc_features features = { .log_all = 1 };
        struct rig rig;

        up(&rig, 3);
        features.acked = RIG_ACKED & rig.ready.features;
        expect_wait(&rig, rig_send(&rig, IPC_FEATURES, &features, sizeof(features)));
        rig_wait_used(&rig.ring[0], 3);
        rig_offer(&rig.ring[0], 0);
        rig_kick(&rig.ring[0]);
        rig_wait_used(&rig.ring[0], 1);
        rig_done(&rig);
}
END_TEST

/* Packets behind one that waits are answered after it, in order. */
START_TEST(what_comes_behind_waits_its_turn)
{
        struct ipc_vring_stop stop = { .index = 0 }, stop_other = { .index = 1 };
        struct ipc_vring_enable enable = { .index = 3, .enabled = 1 };
        uint32_t sequence[3];
        struct rig rig;

        up(&rig, 2);
        sequence[0] = rig_send(&rig, IPC_VRING_STOP, &stop, sizeof(stop));
        sequence[1] = rig_send(&rig, IPC_VRING_ENABLE, &enable, sizeof(enable));
        sequence[2] = rig_send(&rig, IPC_VRING_STOP, &stop_other, sizeof(stop_other));
        *(volatile uint8_t *) rig_at(&rig, RIG_GPA + RIG_DATA) = 1;
        rig_kick(&rig.ring[0]); /* a round */
        for (unsigned i = 0; i < 3; i++)
                ck_assert_uint_eq(rig_next_answer(&rig).reserved, sequence[i]);
        rig_done(&rig);
}
END_TEST

static int begin_state(struct rig *rig, bool load, const int *fd)
{
        const struct ipc_state_fd what = { .load = load };

        return rig_ask(rig, IPC_STATE_FD, &what, sizeof(what), fd, 1, NULL);
}

/* A state that is still on its way when vrings start is taken in while no loop serves them. */
START_TEST(a_state_that_comes_late_finds_all_loops_parked)
{
        struct ipc_device device = rig_device(IPC_ENGINE_NULL, 0);
        int out[2], in[2];
        char state[64];
        uint64_t value;
        struct rig rig;
        ssize_t n;

        device.threads = 2;
        rig_init_own(&rig, &device, -1, holder_run);
        ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
        ck_assert_int_eq(begin_state(&rig, false, &out[1]), 0);
        n = read(out[0], state, sizeof(state));
        ck_assert_int_gt(n, 0);
        rig_configure(&rig, RIG_ACKED);
        ck_assert_int_eq(begin_state(&rig, true, &in[0]), 0);
        for (unsigned i = 0; i < RIG_QUEUES; i++)
                ck_assert_int_eq(rig_ring_start(&rig, i, false), 0);
        ck_assert_int_eq(write(in[1], state, (size_t) n), n);
        close(in[1]);
        ck_assert_int_eq(rig_ask(&rig, IPC_STATE_CHECK, NULL, 0, NULL, 0, &value), 0);
        ck_assert_uint_eq(value, 0);
        close(in[0]);
        close(out[0]);
        close(out[1]);
        rig_done(&rig);
}
END_TEST

/* Even with a packet held back a hang-up is seen. */
START_TEST(a_hang_up_ends_it_while_it_waits)
{
        struct ipc_vring_stop stop = { .index = 0 }, stop_other = { .index = 1 };
        struct rig rig;

        up(&rig, 2);
        rig_send(&rig, IPC_VRING_STOP, &stop, sizeof(stop));
        rig_send(&rig, IPC_VRING_STOP, &stop_other, sizeof(stop_other));
        rig_done(&rig);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker: draining");
        TCase *tcase = tcase_create("drain");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_stop_waits_for_requests_in_flight);
        tcase_add_test(tcase, what_is_in_flight_is_counted);
        tcase_add_test(tcase, state_is_told);
        tcase_add_test(tcase, memory_is_not_taken_from_requests_in_flight);
        tcase_add_test(tcase, a_reset_waits_too);
        tcase_add_test(tcase, logging_begins_behind_requests_in_flight);
        tcase_add_test(tcase, what_comes_behind_waits_its_turn);
        tcase_add_test(tcase, a_state_that_comes_late_finds_all_loops_parked);
        tcase_add_test(tcase, a_hang_up_ends_it_while_it_waits);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
