/*
 * The mutation test of inspect: programs in which one measure is missing, each of which must be found, and be called by
 * its name. They are laid out like a build tree, so that they are the "installed" programs of the vhostctl beside them.
 */
#include "run_ctl.h"

#include "array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct mutant {
        const char *measure; /* what is taken away */
        const char *found;   /* of a line of inspect */
        const char *also;    /* of another one; NULL: none */
        const char *engine;  /* NULL: any */
        bool by_product;     /* seen only by the vhostctl that expects the real programs */
        int limit;           /* this limit must be there to be lowered; -1: none */
} mutants[] = {
        { "capabilities", ": capabilities: CapEff is ", .limit = -1 },
        { "bounding", ": capabilities: CapBnd is ", .limit = -1 },
        { "nonewprivs", ": nonewprivs: not set", .limit = -1 },
        { "dumpable", ": dumpable: it is", .limit = -1 },
        { "uids", ": uid: uid ", .limit = -1 },
        { "groups", ": groups: it has supplementary groups: 54321", .limit = -1 },
        { "id-map", ": uid_map: 1 lines", .also = ": gid_map: 1 lines", .limit = -1 },
        { "parent", "session: parent: ", .also = "worker: parent: ", .limit = -1 },
        { "ns-user", ": ns/user: ", .limit = -1 },
        { "ns-pid", ": ns/pid: ", .limit = -1 },
        { "ns-mnt", ": ns/mnt: ", .limit = -1 },
        { "ns-ipc", ": ns/ipc: ", .limit = -1 },
        { "ns-uts", ": ns/uts: ", .limit = -1 },
        { "ns-net", ": ns/net: ", .limit = -1 },
        { "network", "session: network: 1 interfaces in use, 0 routes", .also = "worker: network: ", .limit = -1 },
        { "root", ": mounts: ", .limit = -1 },
        { "root-writable", ": mounts: the root is rw", .limit = -1 },
        { "root-entry", ": root: 1 entries", .limit = -1 },
        { "limit-core", ": limits: Max core file size", .limit = RLIMIT_CORE },
        { "limit-nofile", ": limits: Max open files", .limit = RLIMIT_NOFILE },
        { "limit-nproc", ": limits: Max processes", .limit = RLIMIT_NPROC },
        { "limit-memlock", ": limits: Max locked memory", .limit = RLIMIT_MEMLOCK },
        { "limit-fsize", ": limits: Max file size", .limit = RLIMIT_FSIZE },
        { "limit-msgqueue", ": limits: Max msgqueue size", .limit = RLIMIT_MSGQUEUE },
        { "limit-data", ": limits: Max data size", .limit = RLIMIT_DATA },
        { "descriptors", ": descriptors: ", .limit = -1 },
        { "read-only", ": descriptors: the disk is open for writing", .limit = -1 },
        { "memory-file", "worker: descriptors: 1 memory", .limit = -1 },
        { "epoll", ": descriptors: ", .limit = -1 },
        { "filters", ": seccomp: 1 filters instead of ", .limit = -1 },
        { "filter-last", "worker: seccomp: 2 filters instead of 3", .limit = -1 },
        { "filter-other", ": filter: number 1 from above is not worker_run", .limit = -1 },
        { "filter-thread", ": threads: ", .engine = "sync", .limit = -1 },
        { "memory-wx", ": memory: 1 mappings are writable and executable", .limit = -1 },
        { "memory-x", ": memory: anonymous memory is executable", .limit = -1 },
        { "memory-shared-x", ": memory: 1 shared mappings are executable", .limit = -1 },
        { "memory-shared", "session: memory: 1 mappings are shared and writable", .limit = -1 },
        { "statistics", "worker: statistics: it maps its own device's 0 times, those of others 0 times", .limit = -1 },
        { "code", ": program: 4 KiB of its code were changed", .limit = -1 },
        { "landlock", ": landlock: not proven", .by_product = true, .limit = -1 },
        { "mdwe", ": mdwe: not proven", .by_product = true, .limit = -1 },
        { "broker-capabilities", "broker: capabilities: CapPrm is ", .limit = -1 },
        { "broker-root", "broker: uid: it is root", .limit = -1 },
        { "broker-dumpable", "broker: dumpable: it is", .limit = -1 },
        { "broker-file", "broker: descriptors: 5 files; programs, lock and disks are 4", .limit = -1 },
        { "broker-directory", "broker: descriptors: 1 of a kind that it has no use for: /", .limit = -1 },
        { "broker-memory", "broker: descriptors: 2 statistics, ", .limit = -1 },
        { "broker-namespace", "broker: descriptors: 1 statistics, 0 cgroups, 1 net, 1 user, 2 mount namespaces", .limit = -1 },
        { "broker-wx", "broker: memory: 1 mappings are writable and executable", .limit = -1 },
        { "broker-shared", "broker: memory: 1 mappings are shared and writable", .limit = -1 },
        { "broker-filter", "broker: seccomp: no filter", .limit = -1 },
};

/* A limit that is low already cannot be missed. Some are 0 for a session. */
static bool is_possible(const struct mutant *mutant)
{
        bool none = mutant->limit == RLIMIT_CORE || mutant->limit == RLIMIT_NPROC || mutant->limit == RLIMIT_MSGQUEUE;
        rlim_t least = none ? 0 : mutant->limit == RLIMIT_NOFILE ? 4096 : 1 << 20;
        struct rlimit limit;

        return mutant->limit < 0 || (getrlimit(mutant->limit, &limit) == 0 && limit.rlim_max > least);
}

static void run(const char *ctl, const struct rig *rig, struct ctl_said *said)
{
        setenv("VHOSTCTL", ctl, 1);
        CTL(rig, said, "--quiet", "inspect");
}

START_TEST(each_mutant_is_found)
{
        const struct mutant *mutant = &mutants[_i];
        struct ctl_said said;

        if (!is_possible(mutant))
                return;
        setenv("VHOST_TEST_WEAKEN", mutant->measure, 1);
        RIG_WITH(rig, .engine = mutant->engine ? mutant->engine : "uring", .read_only = true,
                 .set = { "worker.threads=2" });
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });

        run(getenv(mutant->by_product ? "PRODUCT_CTL" : "WEAK_CTL"), &rig, &said);
        ctl_expect(&said, 1);
        ctl_expect_text(&said, mutant->found);
        if (mutant->also)
                ctl_expect_text(&said, mutant->also);
        OK(fe_device_stop(&device));
}
END_TEST

/* Else the test above would prove nothing. */
START_TEST(who_has_all_is_not_blamed)
{
        static const char *const engines[] = { "uring", "sync", "null" };
        struct ctl_said said;

        unsetenv("VHOST_TEST_WEAKEN");
        RIG_WITH(rig, .engine = engines[_i], .read_only = _i < 2, .set = { "worker.threads=2" });
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });

        run(getenv("WEAK_CTL"), &rig, &said);
        ctl_expect(&said, 0);
        ck_assert_str_eq(said.out, "");
        OK(fe_device_stop(&device));
}
END_TEST

/* It takes two of them: each is fine alone. */
START_TEST(shared_statistics_are_found)
{
        struct fe_device neighbour;
        struct ctl_said said;

        setenv("VHOST_TEST_WEAKEN", "statistics-shared", 1);
        RIG_WITH(rig, .neighbour = true);
        OK(fe_device_start(rig.other_socket, NULL, &neighbour));
        run(getenv("WEAK_CTL"), &rig, &said);
        ctl_expect(&said, 1);
        ctl_expect_text(&said, "b: worker: statistics: it maps its own device's 0 times, those of others 2 times\n");
        OK(fe_device_stop(&neighbour));
}
END_TEST

START_TEST(a_tracer_is_found)
{
        struct ctl_said said;

        unsetenv("VHOST_TEST_WEAKEN");
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        pid_t worker = rig_child(&rig, "vhost-worker");

        ck_assert_int_eq(ptrace(PTRACE_SEIZE, worker, NULL, NULL), 0);
        run(getenv("WEAK_CTL"), &rig, &said);
        ctl_expect(&said, 1);
        ctl_expect_text(&said, "worker: tracer: process ");
        ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, worker, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(worker, NULL, __WALL), worker);
        ck_assert_int_eq(ptrace(PTRACE_DETACH, worker, NULL, NULL), 0);
        OK(fe_device_stop(&device));
}
END_TEST

/* What the config lets be missing is weaker, not short; and only that. */
START_TEST(what_the_config_names_is_weaker)
{
        struct ctl_said said;

        setenv("VHOST_TEST_WEAKEN", "groups", 1);
        RIG_WITH(rig, .set = { "sandbox.maylack=uids" });
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });

        setenv("VHOSTCTL", getenv("WEAK_CTL"), 1);
        CTL(&rig, &said, "inspect", "block");
        ctl_expect(&said, 0);
        ctl_expect_text(&said, "  weaker groups       it has supplementary groups");
        CTL(&rig, &said, "list");
        ctl_expect_text(&said, "(uids)");
        OK(fe_device_stop(&device));
}
END_TEST

/* What is left out is said: a run in which nothing was, proves more. */
static void name_impossible(void)
{
        for (unsigned i = 0; i < ARRAY_SIZE(mutants); i++)
                if (!is_possible(&mutants[i]))
                        printf("left out: %s: this host's own limit is as low\n", mutants[i].measure);
}

/* Those that run are not those that are installed beside this vhostctl: none of the three. */
START_TEST(other_programs_are_found)
{
        struct ctl_said said;

        unsetenv("VHOST_TEST_WEAKEN");
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });

        run(getenv("PRODUCT_CTL"), &rig, &said);
        ctl_expect(&said, 1);
        ctl_expect_text(&said, "broker: program: it is not ");
        ctl_expect_text(&said, "session: program: it is not ");
        ctl_expect_text(&said, "worker: program: it is not ");
        OK(fe_device_stop(&device));
}
END_TEST

/* In place of a copy that differs in its last byte: what is compared is not the name. */
static void change_last_byte(const char *path)
{
        char command[1100];
        FILE *file;
        int last;

        snprintf(command, sizeof(command), "cp '%s' '%s.new' && mv '%s.new' '%s'", path, path, path, path);
        ck_assert_int_eq(system(command), 0);
        file = fopen(path, "r+e");
        ck_assert(file != NULL && fseek(file, -1, SEEK_END) == 0);
        last = fgetc(file);
        ck_assert(last != EOF && fseek(file, -1, SEEK_END) == 0 && fputc(last ^ 1, file) != EOF && fclose(file) == 0);
}

/* The last test: whoever comes later would start the other one. */
START_TEST(a_program_of_that_name_is_found)
{
        struct ctl_said said;
        char path[256];

        unsetenv("VHOST_TEST_WEAKEN");
        RIG(rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });

        snprintf(path, sizeof(path), "%s/tree/worker/vhost-worker", getenv("RIG_DIR"));
        change_last_byte(path);
        run(getenv("WEAK_CTL"), &rig, &said);
        ctl_expect(&said, 1);
        ctl_expect_text(&said, "worker: program: it is not ");
        ck_assert_msg(!strstr(said.out, "session: program: "), "%s", said.out);
        OK(fe_device_stop(&device));
}
END_TEST

static void lay_out(void)
{
        ctl_lay_out((const char *const[]){ "WEAK_BROKER", "WEAK_SESSION", "WEAK_WORKER", "PRODUCT_CTL" });
        setenv("WEAK_CTL", getenv("VHOSTCTL"), 1);
}

int main(void)
{
        Suite *suite = suite_create("ctl_mutants");
        TCase *all = tcase_create("all");

        if (geteuid() != 0)
                return 77;
        name_impossible();
        tcase_set_timeout(all, 60);
        tcase_add_unchecked_fixture(all, lay_out, NULL);
        tcase_add_loop_test(all, each_mutant_is_found, 0, ARRAY_SIZE(mutants));
        tcase_add_loop_test(all, who_has_all_is_not_blamed, 0, 3);
        tcase_add_test(all, shared_statistics_are_found);
        tcase_add_test(all, a_tracer_is_found);
        tcase_add_test(all, what_the_config_names_is_weaker);
        tcase_add_test(all, other_programs_are_found);
        tcase_add_test(all, a_program_of_that_name_is_found);
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
