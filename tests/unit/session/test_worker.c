/*
 * A hostile worker, a broker that leaves, and limits: each ends one session with one line, or costs nothing.
 */
#include "rig.h"

#include "array.h"
#include "clock.h"
#include "virtio.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct ipc_ready good = { .features = VERSION_1, .device = VIRTIO_ID_BLOCK, .queues = 1,
                                       .queue_size_max = 128 };

static void expect_breach(struct rig *rig)
{
        rig_run(rig);
        ck_assert(rig->s->over);
        ck_assert_int_eq(rig->s->end, SESSION_WORKER_FAILED);
        ck_assert_uint_eq(rig->n_lines, 1);
        ck_assert(rig_logged(rig, "from the worker: "));
        rig_done(rig);
}

static void breach_by_ready(const struct ipc_ready *ready)
{
        struct rig rig;

        rig_init_early(&rig);
        rig_from_worker(&rig, IPC_READY, 0, ready, sizeof(*ready));
        expect_breach(&rig);
}

START_TEST(ready_is_judged)
{
        struct ipc_ready ready;
        struct rig rig;

        rig_init_early(&rig);
        rig_from_worker(&rig, IPC_READY, 0, &good, sizeof(good));
        ck_assert(!rig.s->over);
        rig_done(&rig);

        ready = good, ready.device++, breach_by_ready(&ready);
        ready = good, ready.queues = 0, breach_by_ready(&ready);
        ready = good, ready.queues = RIG_QUEUES + 1, breach_by_ready(&ready);
        ready = good, ready.queues = UINT32_MAX, breach_by_ready(&ready);
        ready = good, ready.queue_size_max = 0, breach_by_ready(&ready);
        ready = good, ready.queue_size_max = RIG_QUEUE_SIZE + 1, breach_by_ready(&ready);
        ready = good, ready.config_size = VU_CONFIG_MAX + 1, breach_by_ready(&ready);
        ready = good, ready.engine = IPC_ENGINES, breach_by_ready(&ready);
}
END_TEST

START_TEST(ready_comes_first_and_once)
{
        struct ipc_config config = { .size = 8 };
        struct rig rig;

        rig_init_early(&rig);
        rig_from_worker(&rig, IPC_CONFIG, 0, &config, sizeof(config));
        expect_breach(&rig);
        rig_init(&rig);
        rig_from_worker(&rig, IPC_READY, 0, &good, sizeof(good));
        expect_breach(&rig);
}
END_TEST

START_TEST(only_its_own_packets_are_taken)
{
        static const uint8_t body[PACKET_BODY_MAX];

        for (uint16_t type = 0; type < IPC_TYPES + 2; type++) {
                const struct ipc_rule *rule = ipc_rule_of(type);
                struct rig rig;

                if (rule && rule->way == IPC_WORKER_TO_SESSION)
                        continue;
                rig_init(&rig);
                rig_from_worker(&rig, type, 0, body, rule ? rule->least : 0);
                expect_breach(&rig);
        }
}
END_TEST

START_TEST(sizes_must_fit)
{
        static const uint8_t body[PACKET_BODY_MAX];
        static const uint16_t types[] = { IPC_ANSWER, IPC_CONFIG, IPC_VRING_BROKEN, IPC_WORKER_LOG };

        for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
                struct rig rig;

                rig_init(&rig);
                rig_from_worker(&rig, types[i], 0, body, ipc_rule_of(types[i])->least - 1u);
                expect_breach(&rig);
                rig_init(&rig);
                rig_from_worker(&rig, types[i], 0, body, ipc_rule_of(types[i])->most + 1u);
                expect_breach(&rig);
        }
}
END_TEST

START_TEST(it_can_send_no_descriptor)
{
        struct ipc_config config = { .size = 8 };
        struct rig rig;

        rig_init(&rig);
        ck_assert_int_eq(packet_send(rig.worker, IPC_CONFIG, 0, &config, sizeof(config), &rig.pipe, 1), 0);
        expect_breach(&rig);
}
END_TEST

START_TEST(answers_must_match)
{
        struct ipc_answer answer = { 0 };
        struct vu_vring_state state = { 0 };
        struct rig rig;

        rig_init(&rig);
        rig_from_worker(&rig, IPC_ANSWER, 0, &answer, sizeof(answer)); /* to nothing */
        expect_breach(&rig);

        for (unsigned i = 0; i < 5; i++) {
                static const struct ipc_answer answers[] = { { 0 }, { .result = 1 }, { .result = -4096 },
                                                             { .result = INT32_MIN }, { .value = 0x10000 } };

                rig_init(&rig);
                rig_negotiate(&rig, RIG_PROTOCOL);
                rig_memory(&rig);
                rig_start(&rig, 0);
                rig.silent = true;
                rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
                rig_got(&rig, IPC_VRING_STOP);
                ck_assert_uint_eq(rig.n_lines, 0);
                rig_from_worker(&rig, IPC_ANSWER, rig.s->link.sequence + (i == 0), &answers[i], sizeof(answer));
                ck_assert(rig.s->over && rig.s->end == SESSION_WORKER_FAILED);
                ck_assert(rig_logged(&rig, "from the worker: "));
                ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), -1);
                rig_done(&rig);
        }
}
END_TEST

START_TEST(numbers_must_be_in_range)
{
        struct ipc_config config = { .size = VU_CONFIG_MAX + 1 };
        struct ipc_vring_broken index = { .index = RIG_QUEUES }, error = { .error = 1 };
        struct rig rig;

        rig_init(&rig);
        rig_from_worker(&rig, IPC_CONFIG, 0, &config, sizeof(config));
        expect_breach(&rig);
        rig_init(&rig);
        rig_from_worker(&rig, IPC_VRING_BROKEN, 0, &index, sizeof(index));
        expect_breach(&rig);
        rig_init(&rig);
        rig_from_worker(&rig, IPC_VRING_BROKEN, 0, &error, sizeof(error));
        expect_breach(&rig);
}
END_TEST

START_TEST(its_lines_are_cleaned_and_limited)
{
        struct ipc_log line = { .level = 0, .text = "a\033[31mb\nc" };
        long long from = clock_now_ns();
        unsigned more;
        struct rig rig;

        rig_init(&rig);
        rig_from_worker(&rig, IPC_WORKER_LOG, 0, &line, 8 + 10); /* without a NUL */
        ck_assert_str_eq(rig.line[0], "a?[31mb?c");
        memset(line.text, 'x', sizeof(line.text));
        rig_from_worker(&rig, IPC_WORKER_LOG, 0, &line, sizeof(line)); /* as long as can be */
        ck_assert_uint_eq(strlen(rig.line[1]), LOG_TEXT_MAX - 1);
        for (unsigned i = 0; i < 200; i++)
                rig_from_worker(&rig, IPC_WORKER_LOG, 0, &line, 8 + 4);
        ck_assert_uint_ge(rig.n_lines, RIG_LOG_BURST);
        more = 1 + (unsigned) ((clock_now_ns() - from) * (RIG_LOG_BURST / 2) / (1000 * MS_NS));
        ck_assert_uint_le(rig.n_lines, RIG_LOG_BURST + 2 * more); /* each with a line of how many were dropped */
        rig.s->log.limit.last_ns -= 10000 * MS_NS; /* later */
        rig_from_worker(&rig, IPC_WORKER_LOG, 0, &line, 8 + 4);
        ck_assert(rig_logged(&rig, "lines dropped"));
        ck_assert(!rig.s->over);
        rig_done(&rig);
}
END_TEST

START_TEST(the_front_end_waits_for_a_worker)
{
        uint64_t features;
        struct rig rig;

        rig_init_early(&rig);
        rig_send(&rig, VU_GET_FEATURES, VU_VERSION, NULL, 0, NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_FEATURES, &features, 8, NULL), -1);
        rig_ready(&rig);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_FEATURES, &features, 8, NULL), 8);
        rig_done(&rig);
}
END_TEST

START_TEST(hang_ups_are_seen_while_waiting)
{
        struct vu_vring_state state = { 0 };
        struct rig rig;

        for (unsigned i = 0; i < 3; i++) {
                rig_init(&rig);
                rig_negotiate(&rig, RIG_PROTOCOL);
                rig_memory(&rig);
                rig_start(&rig, 0);
                rig.silent = true;
                rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
                ck_assert(!rig.s->over);
                close(i == 0 ? rig.front : i == 1 ? rig.broker : rig.worker);
                *(i == 0 ? &rig.front : i == 1 ? &rig.broker : &rig.worker) = -1;
                rig_run(&rig);
                ck_assert(rig.s->over);
                ck_assert_int_eq(rig.s->end, i == 2 ? SESSION_WORKER_FAILED : SESSION_LEFT);
                rig_done(&rig);
        }
}
END_TEST

START_TEST(the_broker_is_judged_too)
{
        struct rig rig;

        rig_init(&rig);
        ck_assert_int_eq(packet_send(rig.broker, IPC_WORKER, 0, NULL, 0, &rig.pipe, 1), 0); /* none was wanted */
        rig_run(&rig);
        ck_assert(rig.s->over && rig.s->end == SESSION_BROKER_FAILED);
        rig_done(&rig);
        rig_init(&rig);
        ck_assert_int_eq(packet_send(rig.broker, IPC_CONNECTION, 0, &rig.s->allowed, sizeof(rig.s->allowed),
                                     (int[]){ rig.pipe, rig.pipe }, 2), 0);
        rig_run(&rig);
        ck_assert(rig.s->over && rig.s->end == SESSION_BROKER_FAILED);
        rig_done(&rig);
}
END_TEST

/* Moves a deadline into the past, instead of waiting for it. */
static void expect_timeout(struct rig *rig, enum session_end end, const char *line)
{
        rig_run(rig);
        ck_assert(rig->s->over && rig->s->end == end);
        ck_assert(rig_logged(rig, line));
        rig_done(rig);
}

START_TEST(slow_peers_meet_their_deadlines)
{
        struct rig rig;
        char byte = 1;

        rig_init(&rig);
        ck_assert(rig.s->first_until);
        rig.s->first_until = 1;
        expect_timeout(&rig, SESSION_FRONT_END_FAILED, "the front-end says nothing: ETIMEDOUT");

        rig_init(&rig);
        rig_get(&rig, VU_GET_FEATURES);
        ck_assert(!rig.s->first_until);
        ck_assert_int_eq(send(rig.front, &byte, 1, 0), 1);
        rig_run(&rig);
        ck_assert(rig.s->partial_since && !rig.s->over);
        rig.s->partial_since = 1;
        expect_timeout(&rig, SESSION_FRONT_END_FAILED, "a message was begun and not ended: ETIMEDOUT");
}
END_TEST

/* The time in which there is no worker does not count. */
START_TEST(a_state_meets_its_deadline)
{
        struct rig rig;

        rig_init(&rig);
        rig.s->may_restart = true;
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig.silent = true;
        rig_send(&rig, VU_CHECK_DEVICE_STATE, VU_VERSION, NULL, 0, NULL, 0);
        rig_got(&rig, IPC_STATE_CHECK);
        close(rig.worker);
        rig.worker = -1;
        rig_run(&rig);
        rig.s->state_since = 1;
        rig_next_worker(&rig);
        ck_assert(!rig.s->over);
        rig.silent = false;
        rig_ready(&rig);
        ck_assert(!rig.s->over);
        ck_assert_int_gt(rig.s->state_since, 1);
        rig_done(&rig);

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_send(&rig, VU_CHECK_DEVICE_STATE, VU_VERSION, NULL, 0, NULL, 0);
        rig.s->state_since = 1; /* it was answered */
        rig_run(&rig);
        ck_assert(!rig.s->over);
        rig.silent = true;
        rig_send(&rig, VU_CHECK_DEVICE_STATE, VU_VERSION, NULL, 0, NULL, 0);
        ck_assert(!rig.s->over);
        rig.s->state_since = 1;
        expect_timeout(&rig, SESSION_FRONT_END_FAILED, "the front-end does not end its device's state: ETIMEDOUT");
}
END_TEST

START_TEST(replies_are_kept_until_they_are_taken)
{
        struct vu_config config = { .size = 256 };
        unsigned sent = 0, taken = 0;
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        while (!rig.s->out.length && ++sent < 3000) /* ask, and take no reply */
                rig_send(&rig, VU_GET_CONFIG, VU_VERSION, &config, sizeof(config), NULL, 0);
        ck_assert(rig.s->out.length && !rig.s->over);
        while (rig_reply(&rig, VU_GET_CONFIG, &config, sizeof(config), NULL) == sizeof(config)) {
                taken++;
                rig_run(&rig);
        }
        ck_assert_uint_eq(taken, sent);
        ck_assert(!rig.s->out.length);

        while (!rig.s->out.length && ++sent < 6000)
                rig_send(&rig, VU_GET_CONFIG, VU_VERSION, &config, sizeof(config), NULL, 0);
        rig.s->out.since = 1;
        expect_timeout(&rig, SESSION_FRONT_END_FAILED, "the front-end does not take its reply: ETIMEDOUT");
}
END_TEST

START_TEST(a_full_channel_to_the_worker_is_waited_for_but_not_long)
{
        struct rig rig;
        char junk[128];

        for (unsigned i = 0; i < 2; i++) {
                uint64_t features = VERSION_1 | BIT30;

                rig_init(&rig);
                rig.silent = true;
                while (send(rig.s->link.channel.num, junk, sizeof(junk), MSG_DONTWAIT) > 0)
                        ;
                ck_assert_int_eq(send(rig.front, &(struct vu_header){ VU_SET_FEATURES, VU_VERSION, 8 }, 12, 0), 12);
                ck_assert_int_eq(send(rig.front, &features, 8, 0), 8);
                while (!rig.s->link.unsent)
                        session_step(rig.s, 1000);
                ck_assert(rig.s->link.since);
                if (i == 0) {
                        rig.s->link.since = 1;
                        session_step(rig.s, 0);
                        ck_assert(rig.s->over && rig.s->end == SESSION_WORKER_FAILED);
                } else {
                        while (recv(rig.worker, junk, sizeof(junk), MSG_DONTWAIT) == sizeof(junk))
                                ;
                        rig.silent = false;
                        rig_run(&rig);
                        rig_got(&rig, IPC_FEATURES);
                        ck_assert(rig.s->ledger.has_features && !rig.s->link.since);
                }
                rig_done(&rig);
        }
}
END_TEST

START_TEST(a_flood_is_slowed_not_ended)
{
        struct rig rig;
        unsigned served = 0;
        uint32_t per_s;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        per_s = rig.s->allowed.limits.messages_per_s;
        rig.s->allowed.limits.messages_per_s = 1; /* or who sends slowly would never be too fast */
        while (!rig.s->paused_until && served++ < 2 * RIG_MESSAGES_BURST)
                rig_send(&rig, VU_SET_OWNER, VU_VERSION, NULL, 0, NULL, 0);
        ck_assert_uint_ge(served, RIG_MESSAGES_BURST / 2);
        ck_assert(rig.s->paused_until && !rig.s->over);
        rig.s->allowed.limits.messages_per_s = per_s;
        while (rig.s->paused_until) /* its own time-out wakes it */
                session_step(rig.s, -1);
        rig_get(&rig, VU_GET_FEATURES);
        rig_done(&rig);
}
END_TEST

static void broker_says_size(struct rig *rig, uint64_t bytes)
{
        const struct ipc_resize resize = { .capacity = bytes };

        ck_assert_int_eq(packet_send(rig->broker, IPC_RESIZE, 0, &resize, sizeof(resize), NULL, 0), 0);
        rig_run(rig);
}

static void expect_size(struct rig *rig, uint64_t bytes)
{
        const struct ipc_resize *seen = rig_got(rig, IPC_RESIZE);

        ck_assert_uint_eq(seen->capacity, bytes);
}

START_TEST(the_disk_gets_another_size)
{
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        broker_says_size(&rig, 4096);
        expect_size(&rig, 4096);
        rig.refuse = -EINVAL; /* the front-end has nothing to do with it */
        broker_says_size(&rig, 1);
        expect_size(&rig, 1);
        rig.refuse = 0;
        ck_assert(rig_logged(&rig, "RESIZE refused by the worker: EINVAL"));
        rig_get(&rig, VU_GET_FEATURES);
        ck_assert(!rig.s->over);
        rig_done(&rig);
}
END_TEST

START_TEST(sizes_wait_for_their_turn_and_the_last_counts)
{
        struct vu_vring_state state = { .index = 1 };
        struct rig rig;

        rig_init_early(&rig);
        broker_says_size(&rig, 512); /* before READY */
        broker_says_size(&rig, 1024);
        ck_assert_uint_eq(rig_count(&rig, IPC_RESIZE), 0);
        rig_ready(&rig);
        rig_run(&rig);
        ck_assert_uint_eq(rig_count(&rig, IPC_RESIZE), 1);
        expect_size(&rig, 1024);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_memory(&rig);
        rig_start(&rig, 1);

        rig.silent = true; /* a message is with the worker */
        rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
        rig_got(&rig, IPC_VRING_STOP);
        rig_forget(&rig);
        broker_says_size(&rig, 2048);
        broker_says_size(&rig, 4096);
        ck_assert_uint_eq(rig_count(&rig, IPC_RESIZE), 0);
        rig_from_worker(&rig, IPC_ANSWER, rig.s->link.sequence, &(struct ipc_answer){ 0 }, sizeof(struct ipc_answer));
        ck_assert_uint_eq(rig_count(&rig, IPC_RESIZE), 1);
        expect_size(&rig, 4096);
        ck_assert(!rig.s->over);
        rig_done(&rig);
}
END_TEST

/* A worker that died with it: its successor is told the size, and the front-end is not answered for it. */
START_TEST(a_size_survives_the_worker)
{
        struct rig rig;

        rig_init(&rig);
        rig.s->may_restart = true;
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig.silent = true;
        broker_says_size(&rig, 4096);
        expect_size(&rig, 4096);
        close(rig.worker);
        rig.worker = -1;
        rig_run(&rig);
        rig_next_worker(&rig);
        rig.silent = false;
        rig_ready(&rig);
        rig_run(&rig);
        expect_size(&rig, 4096);
        rig_get(&rig, VU_GET_FEATURES);
        ck_assert(!rig.s->over);
        rig_done(&rig);
}
END_TEST

/* Asked for a userfaultfd, with the worker's answer still to come. */
static void ask_for_userfault(struct rig *rig)
{
        rig_init_early(rig);
        rig->s->allowed.protocol_features |= 1 << VU_PF_PAGEFAULT;
        rig_ready(rig);
        rig_tell_u64(rig, VU_SET_PROTOCOL_FEATURES, 1 << VU_PF_REPLY_ACK | 1 << VU_PF_PAGEFAULT);
        rig->silent = true;
        rig_send(rig, VU_POSTCOPY_ADVISE, VU_VERSION, NULL, 0, NULL, 0);
        ck_assert_uint_eq(((const struct ipc_postcopy *) rig_got(rig, IPC_POSTCOPY))->step, IPC_POSTCOPY_ADVISE);
}

static void send_up(struct rig *rig, int fd)
{
        ck_assert_int_eq(packet_send(rig->worker, IPC_USERFAULT, 0, NULL, 0, &fd, 1), 0);
        close(fd);
}

static int some_fd(unsigned kind)
{
        int pair[2];

        switch (kind) {
        case 0:
                return rig_file(4096);
        case 1:
                return eventfd(0, EFD_CLOEXEC);
        case 2:
                return epoll_create1(EPOLL_CLOEXEC);
        case 3:
                return dup(STDIN_FILENO);
        default:
                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
                close(pair[0]);
                return pair[1];
        }
}

/* What the front-end will get has to be what it asked for, and only when it did. */
START_TEST(only_a_userfaultfd_goes_up)
{
        struct rig rig;

        for (unsigned kind = 0; kind <= 4; kind++) {
                ask_for_userfault(&rig);
                send_up(&rig, some_fd(kind));
                expect_breach(&rig);
        }
        rig_init(&rig);
        send_up(&rig, some_fd(1));
        expect_breach(&rig);
}
END_TEST

/* A worker that says yes and sends none: the front-end is told so in the form that there is. */
START_TEST(no_userfaultfd_is_a_refusal)
{
        struct rig rig;

        ask_for_userfault(&rig);
        rig_from_worker(&rig, IPC_ANSWER, rig.s->link.sequence, &(struct ipc_answer){ 0 }, sizeof(struct ipc_answer));
        ck_assert_int_eq(rig_reply(&rig, VU_POSTCOPY_ADVISE, NULL, 0, NULL), 0); /* and no descriptor with it */
        ck_assert(!rig.s->over);
        rig_done(&rig);
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = {
                &ready_is_judged, &ready_comes_first_and_once, &only_its_own_packets_are_taken, &sizes_must_fit,
                &it_can_send_no_descriptor, &answers_must_match, &numbers_must_be_in_range,
                &its_lines_are_cleaned_and_limited, &the_front_end_waits_for_a_worker,
                &hang_ups_are_seen_while_waiting, &the_broker_is_judged_too, &slow_peers_meet_their_deadlines,
                &a_state_meets_its_deadline, &replies_are_kept_until_they_are_taken,
                &a_full_channel_to_the_worker_is_waited_for_but_not_long, &a_flood_is_slowed_not_ended, &the_disk_gets_another_size,
                &sizes_wait_for_their_turn_and_the_last_counts, &a_size_survives_the_worker,
                &only_a_userfaultfd_goes_up, &no_userfaultfd_is_a_refusal,
        };

        return rig_main("worker_link", tests, ARRAY_SIZE(tests));
}
