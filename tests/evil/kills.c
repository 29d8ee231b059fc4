/*
 * The same calls with the filters as they are: each, made in a process of its own, is the end of that process, and of
 * nothing else.
 */
#include "attacker.h"
#include "published.h"

#include "array.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#define FORBIDDEN "ended by signal 31 (SYS): it called what its policy forbids"

static struct attacker take_over(const struct rig *rig, bool session)
{
        return session ? attacker_in_session(rig) : attacker_in_worker(rig);
}

/* Waits for the n-th time, and returns how often it was said. */
static unsigned await_times(struct rig *rig, const char *text, unsigned n)
{
        size_t at = 0;
        unsigned times;

        for (times = 0; prog_log_wait(&rig->prog, at, text, times < n ? FE_TIMEOUT_MS : 0) == 0; times++)
                at = (size_t) (strstr(rig->prog.log + at, text) - rig->prog.log) + 1;
        return times;
}

static void die_of(const struct rig *rig, bool session, enum evil_entry entry, unsigned number)
{
        struct attacker a = take_over(rig, session);
        struct evil_command command = { .what = EVIL_CALL, .entry = entry, .number = number };
        struct evil_answer answer;
        int r;

        memset(command.argument, 0xff, sizeof(command.argument));
        r = attacker_do(&a, command, &answer);
        ck_assert_msg(r == -ECONNRESET || r == -EPIPE, "call %u, entry %u: %s", number, entry, log_errno(r));
        attacker_close(&a); /* the next one is held until all of this one is gone */
}

/* Every number that is not allowed. */
START_TEST(every_number_kills)
{
        bool session = _i;
        struct published published;
        unsigned died = 0;

        attacker_prepare(false);
        published_read(session ? "session_run" : "worker_run_blk_sync", &published);
        RIG_WITH(rig, .engine = "sync");
        for (unsigned number = 0; number < PUBLISHED_NUMBERS; number++)
                if (!published.call[number].allowed && !published_is_probe(number)) {
                        die_of(&rig, session, EVIL_64, number);
                        died++;
                }
        rig_check_alive(&rig);
        ck_assert_uint_eq(await_times(&rig, FORBIDDEN, died), died);
}
END_TEST

static const struct {
        const char *type, *engine;
} others[] = { { "block", "uring" }, { "block", "null" }, { "rng", NULL } };

/* The profiles that every_number_kills leaves out, and other entries to the kernel, by a few. */
START_TEST(other_ways_kill_as_well)
{
        static const unsigned numbers[] = { SYS_openat, SYS_socket, SYS_clone3, SYS_io_uring_setup, 600 };
        attacker_prepare(false);
        RIG_WITH(rig, .type = others[_i].type, .engine = others[_i].engine);

        for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
                for (unsigned entry = EVIL_64; entry <= EVIL_I386; entry++)
                        die_of(&rig, false, (enum evil_entry) entry, numbers[i]);
        for (unsigned entry = EVIL_X32; entry <= EVIL_I386; entry++)
                for (unsigned number = 0; number < 8; number++) /* x32 has the numbers of 64 bits, i386 others */
                        die_of(&rig, _i == 0, (enum evil_entry) entry, number);
        ck_assert_uint_eq(await_times(&rig, FORBIDDEN, 3 * ARRAY_SIZE(numbers) + 2 * 8),
                          3 * ARRAY_SIZE(numbers) + 2 * 8);
}
END_TEST

/* Not even these do anything: they kill as well, or fail. */
START_TEST(unfilterable_numbers_are_harmless)
{
        attacker_prepare(false);
        RIG_WITH(rig, .engine = "null");

        for (unsigned number = 0; number < PUBLISHED_NUMBERS; number++) {
                struct evil_command command = { .what = EVIL_CALL, .number = number };
                struct evil_answer answer;
                struct attacker a;

                if (!published_is_probe(number))
                        continue;
                a = take_over(&rig, _i);
                if (attacker_do(&a, command, &answer) == 0)
                        ck_assert_int_eq(answer.result, -ENXIO);
                attacker_close(&a);
        }
}
END_TEST

START_TEST(exit_group_ends_it)
{
        attacker_prepare(false);
        RIG_WITH(rig, .engine = "null");

        die_of(&rig, _i, EVIL_64, SYS_exit_group);
        OK(prog_log_wait(&rig.prog, 0, "ended with status 255", FE_TIMEOUT_MS));
        ck_assert_uint_eq(await_times(&rig, FORBIDDEN, 0), 0);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("evil-kills");
        TCase *c = tcase_create("evil-kills");

        tcase_set_timeout(c, 200);
        tcase_add_loop_test(c, every_number_kills, 0, 2);
        tcase_add_loop_test(c, other_ways_kill_as_well, 0, ARRAY_SIZE(others));
        tcase_add_loop_test(c, unfilterable_numbers_are_harmless, 0, 2);
        tcase_add_loop_test(c, exit_group_ends_it, 0, 2);
        suite_add_tcase(s, c);
        return rig_main(s);
}
