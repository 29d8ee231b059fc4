/*
 * The limits of the broker's own process: what it computes for its devices is enough, and one less stops its start with
 * a line that has the number.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEVICES = 2, TOO_LOW = 48, THREADS = 2 };

/* Starts a broker that must not start; the limit that it says it needs. */
static unsigned long refused(char *const argv[], const char *what, unsigned long has)
{
        unsigned long need = 0, seen = 0;
        struct prog prog;
        const char *line;
        int status = 0;

        OK(prog_start(argv, &prog));
        OK(prog_end(&prog, RIG_START_MS, &status));
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
        line = strstr(prog.log, what);
        ck_assert_msg(line != NULL, "'%s' is not in: %s", what, prog.log);
        line = strstr(line, "hard limit of ");
        ck_assert(line != NULL && sscanf(line, "hard limit of %lu%*[^0-9]%lu", &need, &seen) == 2);
        ck_assert_uint_eq(seen, has);
        prog_done(&prog);
        return need;
}

/* A limit that the broker asks for when it has too little, and that is refused once more when it has one less. */
static unsigned long needed(char **argv, char limit[32], const char *option, const char *what)
{
        unsigned long need;

        snprintf(limit, 32, "%s=%d", option, TOO_LOW);
        need = refused(argv, what, TOO_LOW);
        ck_assert_uint_gt(need, TOO_LOW);
        snprintf(limit, 32, "%s=%lu", option, need - 1);
        ck_assert_uint_eq(refused(argv, what, need - 1), need);
        return need;
}

/* A soft limit of whoever starts it is no obstacle. */
START_TEST(descriptors_suffice_or_are_refused)
{
        char conf[RIG_PATH_MAX - 20], limit[32];
        char *argv[] = { "prlimit", limit, getenv("VHOST_BROKER"), "--config", conf, "--control-socket=none", NULL };
        struct fe_device both[DEVICES];
        unsigned long need;

        snprintf(conf, sizeof(conf), "%s/conf", getenv("RIG_DIR"));
        rig_many_configs(conf, getenv("RIG_DIR"), DEVICES);
        need = needed(argv, limit, "--nofile", "open files: 2 devices need a hard limit of ");
        snprintf(limit, sizeof(limit), "--nofile=%d:%lu", TOO_LOW, need);
        RIG_WITH(rig, .neighbour = true, .through = { "prlimit", limit });
        OK(fe_device_start(rig.socket, NULL, &both[0]));
        OK(fe_device_start(rig.other_socket, NULL, &both[1]));
        OK(fe_device_stop(&both[0]));
        OK(fe_device_stop(&both[1]));
        rig_check_alive(&rig);
}
END_TEST

START_TEST(locked_memory_suffices_or_is_refused)
{
        char disk[RIG_PATH_MAX], option[RIG_PATH_MAX + 32], threads[32], limit[32];
        char *argv[] = { "prlimit", limit, getenv("VHOST_BROKER"), "--type=block", "--blk-file", disk, option, "--set",
                         threads, "--set=block.engine=uring", NULL };
        unsigned long need;
        FILE *file;

        snprintf(disk, sizeof(disk), "%s/disk", getenv("RIG_DIR"));
        snprintf(option, sizeof(option), "--socket-path=%s/socket", getenv("RIG_DIR"));
        snprintf(threads, sizeof(threads), "worker.threads=%d", THREADS);
        file = fopen(disk, "we");
        ck_assert(file != NULL && ftruncate(fileno(file), 1 << 20) == 0 && fclose(file) == 0);
        need = needed(argv, limit, "--memlock", "block: locked memory: Engine=uring needs a hard limit of ");
        snprintf(limit, sizeof(limit), "--memlock=%d:%lu", TOO_LOW, need);
        RIG_WITH(rig, .engine = "uring", .through = { "prlimit", limit }, .set = { threads });
        rig_check_alive(&rig);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("limits");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_test(all, descriptors_suffice_or_are_refused);
        tcase_add_test(all, locked_memory_suffices_or_is_refused);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
