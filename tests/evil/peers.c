/*
 * A taken-over worker or session against those it talks to, with its filters in force: packets that are wrong in every
 * way, descriptors where none may be, floods, silence. Whatever it does, the device serves the next connection, its
 * neighbour works on through the same connection as before, and the broker grows neither in descriptors nor in memory.
 */
#include "attacker.h"
#include "evil_worker.h"
#include "proc_view.h"

#include "array.h"
#include "ipc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
        FLOOD_MS = 150,
        GROWTH_KIB = 384,
        IN_PASSING = 3, /* descriptors: telling systemd something; the pipe with which a last close is given away */
        NEIGHBOUR = 3, /* sessions by their numbers, after those that warm up both devices */
        ATTACKER = 4,
        HEADER = sizeof(struct packet_header),
};

struct stand {
        struct rig rig;
        struct fe_device device; /* the neighbour's */
        struct drv_blk blk;
        pid_t worker;
        uint64_t memory; /* KiB of the broker, after a first connection */
};

static void look_in(struct stand *s)
{
        uint8_t got[4096], want[4096];

        for (unsigned i = 0; i < 8; i++) {
                OK(drv_blk_read(&s->blk, i * 8, got, sizeof(got)));
                rig_pattern(i * 8 * 512, want, sizeof(want));
                ck_assert_mem_eq(got, want, sizeof(want));
        }
}

static struct stand stand_start(struct rig_options options)
{
        struct stand s;

        attacker_prepare(false);
        options.neighbour = true;
        options.engine = options.engine ? options.engine : "sync";
        s.rig = rig_start(options);
        OK(fe_device_start(s.rig.other_socket, NULL, &s.device));
        rig_await_up(&s.rig, getenv("RIG_FOREIGN") ? 1 : NEIGHBOUR);
        s.blk = rig_blk(&s.device, 0);
        s.worker = rig_child(&s.rig, "vhost-worker");
        s.memory = proc_status_number(s.rig.prog.pid, "VmRSS");
        return s;
}

/* A case is over. */
static void check_after(struct stand *s)
{
        look_in(s);
        rig_check_alive(&s->rig);
}

static void stand_stop(struct stand *s)
{
        uint64_t memory = proc_status_number(s->rig.prog.pid, "VmRSS");

        ck_assert_msg(memory <= s->memory + GROWTH_KIB, "the broker has grown from %u to %u KiB",
                      (unsigned) s->memory, (unsigned) memory);
        look_in(s);
        drv_blk_done(&s->blk);
        OK(fe_device_stop(&s->device));
        rig_stop(&s->rig);
}

enum way { TO_SESSION, TO_BROKER, TO_WORKER, WAYS };

static struct attacker take_over(const struct stand *s, enum way way)
{
        return way == TO_SESSION ? attacker_in_worker(&s->rig) : attacker_in_session(&s->rig);
}

/* The descriptor that leads there. */
static int lead(const struct attacker *a, enum way way)
{
        return way == TO_SESSION ? 0 : way == TO_BROKER ? 1 : a->channel;
}

static struct evil_command packet(uint64_t fd, uint16_t type, uint16_t length, size_t bytes, uint8_t fill)
{
        struct packet_header header = { .type = type, .length = length };
        struct evil_command command = { .what = EVIL_PACKET, .number = fd, .argument = { bytes, fill } };

        memset(command.data, fill, sizeof(command.data));
        memcpy(command.data, &header, sizeof(header));
        return command;
}

/* One packet from a process taken over for it, and the end of that. */
static void try_packet(struct stand *s, enum way way, struct evil_command command)
{
        struct attacker a = take_over(s, way);
        struct evil_answer answer;

        command.number = (uint64_t) lead(&a, way);
        (void) attacker_do(&a, command, &answer); /* it may be the end of its partner, and so of itself */
        attacker_close(&a);
        look_in(s);
}

/* Each number that is a type and some that are none, in its size, a wrong one, all zeros and all ones. */
START_TEST(every_type)
{
        struct stand s = stand_start((struct rig_options){ .queues = 2 });

        for (uint16_t type = 0; type < IPC_TYPES + 2; type++) {
                const struct ipc_rule *rule = ipc_rule_of(type);
                uint16_t length = rule ? rule->most : 16;

                try_packet(&s, (enum way) _i, packet(0, type, length, HEADER + length, 0));
                try_packet(&s, (enum way) _i, packet(0, type, length, HEADER + length, 0xff));
                try_packet(&s, (enum way) _i, packet(0, type, (uint16_t) (length + 1), HEADER + length + 1u, 0));
        }
        check_after(&s);
        stand_stop(&s);
}
END_TEST

/* Half of a header, less or more than announced, more than a packet may be. */
START_TEST(every_length)
{
        static const size_t bytes[] = { 1, 3, 7, 8, 9, 23, 500, 1032, 1033, 2000, 4095, 4096, 8000 };
        struct stand s = stand_start((struct rig_options){ .queues = 2 });

        for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++) {
                try_packet(&s, (enum way) _i, packet(0, IPC_LOG, 16, bytes[i], 0));
                try_packet(&s, (enum way) _i, packet(0, IPC_ANSWER, UINT16_MAX, bytes[i], 0xff));
        }
        check_after(&s);
        stand_stop(&s);
}
END_TEST

/* Descriptors, its own channel among them, with every type: none comes up, none is left anywhere. */
START_TEST(descriptors_everywhere)
{
        static const unsigned counts[] = { 1, 3, 8, 253 };
        struct stand s = stand_start((struct rig_options){ .queues = 2 });

        for (uint16_t type = 1; type < IPC_TYPES; type += 2)
                for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
                        const struct ipc_rule *rule = ipc_rule_of(type);
                        struct evil_command command = packet(0, type, rule->most, HEADER + rule->most, 0);
                        struct attacker a = take_over(&s, (enum way) _i);
                        struct evil_answer answer;

                        command.number = (uint64_t) lead(&a, (enum way) _i);
                        command.argument[2] = counts[i];
                        command.argument[3] = a.in_session ? (uint64_t) a.channel : 0;
                        (void) attacker_do(&a, command, &answer);
                        attacker_close(&a);
                }
        check_after(&s);
        stand_stop(&s);
}
END_TEST

/* The broker cannot be given a descriptor at all: its pipe carries none, its socket takes nothing. */
START_TEST(no_descriptor_reaches_the_broker)
{
        struct stand s = stand_start((struct rig_options){ .queues = 2 });
        struct attacker a = attacker_in_session(&s.rig);
        struct evil_command command = packet(0, IPC_LOG, 16, HEADER + 16, 0);
        struct evil_answer answer;

        command.argument[2] = 1;
        command.argument[3] = (uint64_t) a.front;
        OK(attacker_do(&a, command, &answer));
        ck_assert_int_eq(answer.result, -EPIPE);
        attacker_close(&a);
        check_after(&s);
        stand_stop(&s);
}
END_TEST

static const struct {
        enum way way;
        uint16_t type;
        uint8_t fill;
} floods[] = {
        { TO_SESSION, IPC_WORKER_LOG, 'x' },   { TO_SESSION, IPC_CONFIG, 1 },      { TO_SESSION, IPC_VRING_BROKEN, 0 },
        { TO_SESSION, IPC_IOTLB_MISS, 1 },     { TO_SESSION, IPC_ANSWER, 0 },      { TO_SESSION, 0, 0xff },
        { TO_BROKER, IPC_LOG, 'x' },           { TO_BROKER, IPC_LOG, 0x1b },       { TO_BROKER, IPC_SERVING, 0 },
        { TO_BROKER, IPC_WANT_WORKER, 0 },     { TO_BROKER, 0, 0xff },             { TO_WORKER, IPC_PING, 0 },
        { TO_WORKER, IPC_VRING_ENABLE, 0 },    { TO_WORKER, IPC_FEATURES, 0 },     { TO_WORKER, IPC_VRING_START, 0 },
        { TO_WORKER, IPC_MEM_TABLE, 0 },       { TO_WORKER, IPC_RESET, 0 },        { TO_WORKER, IPC_IOTLB, 1 },
};

/* As many as the machine makes, while the neighbour works. Log lines stay within their limit. */
START_TEST(floods_stay_where_they_are)
{
        struct stand s = stand_start((struct rig_options){ .queues = 2 });
        const struct ipc_rule *rule = ipc_rule_of(floods[_i].type);
        uint16_t length = rule ? rule->most : 16;
        struct evil_command command = packet(0, floods[_i].type, length, HEADER + length, floods[_i].fill);
        struct attacker a = take_over(&s, floods[_i].way);
        unsigned lines = 0;
        long long end;
        int fds;

        rig_await_up(&s.rig, ATTACKER);
        fds = prog_count_fds(s.rig.prog.pid);
        command.number = (uint64_t) lead(&a, floods[_i].way);
        command.ms = FLOOD_MS;
        attacker_let(&a, command);
        for (end = fe_deadline(FLOOD_MS); fe_left_ms(end);) {
                look_in(&s);
                ck_assert_int_le(prog_count_fds(s.rig.prog.pid), fds + IN_PASSING);
        }
        attacker_close(&a);
        check_after(&s);
        (void) prog_log_wait(&s.rig.prog, 0, "never said", 1);
        for (const char *at = s.rig.prog.log; (at = strchr(at, '\n')); at++)
                lines++;
        ck_assert_msg(lines < 120, "%u lines in the log", lines);
        for (const char *at = s.rig.prog.log; *at; at++)
                ck_assert_msg(*at == '\n' || (*at >= ' ' && *at <= '~'), "a byte %#x in the log", *at);
        stand_stop(&s);
}
END_TEST

/* An opening packet that is none, or lies. */
START_TEST(first_packets)
{
        struct stand s;
        struct fe_conn conn;
        int fds;

        setenv("RIG_FOREIGN", "1", 1); /* it cannot be warmed up: it serves nobody */
        s = stand_start((struct rig_options){ .queues = (unsigned) _i, .set = { "worker.pollmaxus=666" } });
        fds = prog_count_fds(s.rig.prog.pid);
        OK(fe_connect(s.rig.socket, FE_TIMEOUT_MS, &conn));
        if (_i == EVIL_OPENS_NOT) {
                OK(fe_send(&conn, VU_GET_FEATURES, NULL, 0)); /* its session waits for the worker, and so may we */
                look_in(&s);
        } else if (_i != EVIL_OPENS_WITH_FDS) {
                (void) fe_send(&conn, VU_GET_FEATURES, NULL, 0);
                OK(prog_log_wait(&s.rig.prog, 0, "from the worker", FE_TIMEOUT_MS));
        }
        fe_close(&conn);
        look_in(&s);
        OK(prog_await_children(s.rig.prog.pid, 2, FE_TIMEOUT_MS)); /* those of the neighbour */
        OK(prog_await_fds(s.rig.prog.pid, fds + 1, FE_TIMEOUT_MS)); /* the device's net namespace is new */
        stand_stop(&s);
}
END_TEST

/* Never reads again: its partners do not wait for it beyond their limits, and the device is free again. */
START_TEST(deaf_worker)
{
        struct stand s = stand_start((struct rig_options){ .queues = 2 });
        struct attacker a = attacker_in_worker(&s.rig);

        attacker_let(&a, (struct evil_command){ .what = EVIL_HANG });
        for (unsigned i = 0; i < 100; i++)
                (void) fe_send(&a.conn, VU_GET_FEATURES, NULL, 0);
        look_in(&s);
        attacker_close(&a);
        check_after(&s);
        stand_stop(&s);
}
END_TEST

/* How long a stop takes, in ms. */
static int stop_with_a_deaf_session(void)
{
        struct stand s = stand_start((struct rig_options){ .queues = 2 });
        struct attacker a = attacker_in_session(&s.rig);
        int status = 0, ms;

        attacker_let(&a, (struct evil_command){ .what = EVIL_HANG });
        attacker_close(&a);
        look_in(&s);
        drv_blk_done(&s.blk);
        fe_device_drop(&s.device);
        OK(prog_stop(&s.rig.prog, RIG_STOP_MS, &status, &ms));
        ck_assert_int_eq(status, 0);
        return ms;
}

/* A session that does not hear its front-end go keeps its own device, no other, and not the broker's end. */
START_TEST(deaf_session)
{
        int ms = stop_with_a_deaf_session();

        for (unsigned i = 1; i < PROMISE_TRIES && ms >= PROMISED_STOP_MS; i++)
                ms = stop_with_a_deaf_session();
        ck_assert_int_lt(ms, PROMISED_STOP_MS);
}
END_TEST

/* There is no event for what another process maps. */
static void await_mapping(pid_t pid, const char *name)
{
        const struct timespec tick = { .tv_nsec = 2000000 };
        long long deadline = fe_deadline(FE_TIMEOUT_MS);
        char path[64], line[512];
        bool found = false;

        snprintf(path, sizeof(path), "/proc/%d/maps", (int) pid);
        while (!found) {
                FILE *maps = fopen(path, "re");

                ck_assert(maps != NULL && fe_left_ms(deadline));
                while (fgets(line, sizeof(line), maps))
                        found |= strstr(line, name) != NULL;
                fclose(maps);
                nanosleep(&tick, NULL);
        }
}

/* Memory that its session shrinks afterwards is the end of that worker alone. */
START_TEST(memory_that_shrinks)
{
        struct stand s = stand_start((struct rig_options){ .queues = 2 });
        struct attacker a = attacker_in_session(&s.rig);
        struct evil_command make = { .what = EVIL_CALL, .number = SYS_memfd_create, .in_data = 1,
                                     .argument = { 0, 3 /* CLOEXEC, ALLOW_SEALING */ }, .data = "m" };
        struct ipc_region_add add = { .region = { .gpa = 0x1000, .uva = 0x1000, .size = 1 << 20 } };
        struct ipc_vring_start start = { .size = 128, .desc = 0x1000, .avail = 0x2000, .used = 0x3000, .enabled = 1 };
        struct evil_command send;
        struct evil_answer answer;
        pid_t workers[2];
        int64_t memory;

        OK(attacker_do(&a, make, &answer));
        memory = answer.result;
        ck_assert_int_ge(memory, 0);
        ck_assert_int_eq(attacker_call(&a, SYS_ftruncate, (uint64_t[6]){ (uint64_t) memory, 1 << 20 }), 0);
        send = packet((uint64_t) a.channel, IPC_REGION_ADD, sizeof(add), HEADER + sizeof(add), 0);
        memcpy(send.data + HEADER, &add, sizeof(add));
        send.argument[2] = 1;
        send.argument[3] = (uint64_t) memory;
        OK(attacker_do(&a, send, &answer));
        ck_assert_int_gt(answer.result, 0);
        ck_assert_uint_eq(prog_find(s.rig.prog.pid, "vhost-worker", workers, 2), 2);
        await_mapping(workers[0] == s.worker ? workers[1] : workers[0], "memfd:m");
        ck_assert_int_eq(attacker_call(&a, SYS_ftruncate, (uint64_t[6]){ (uint64_t) memory, 0 }), 0);
        send = packet((uint64_t) a.channel, IPC_VRING_START, sizeof(start), HEADER + sizeof(start), 0);
        memcpy(send.data + HEADER, &start, sizeof(start));
        OK(attacker_do(&a, send, &answer));
        OK(prog_log_wait(&s.rig.prog, 0, "ended by signal 7 (BUS)", FE_TIMEOUT_MS));
        attacker_close(&a);
        check_after(&s);
        stand_stop(&s);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("evil-peers");
        TCase *c = tcase_create("evil-peers");

        tcase_set_timeout(c, 120);
        tcase_add_loop_test(c, every_type, 0, WAYS);
        tcase_add_loop_test(c, every_length, 0, WAYS);
        tcase_add_loop_test(c, descriptors_everywhere, 0, WAYS);
        tcase_add_test(c, no_descriptor_reaches_the_broker);
        tcase_add_loop_test(c, floods_stay_where_they_are, 0, ARRAY_SIZE(floods));
        tcase_add_loop_test(c, first_packets, 1, EVIL_OPENINGS);
        tcase_add_test(c, deaf_worker);
        tcase_add_test(c, deaf_session);
        tcase_add_test(c, memory_that_shrinks);
        suite_add_tcase(s, c);
        return rig_main(s);
}
