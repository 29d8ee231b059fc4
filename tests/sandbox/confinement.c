/*
 * The confinement of real processes in steady state, as the kernel sees it (security goals G10-G18, G33, G34).
 */
#include "proc_view.h"
#include "rig.h"

#include "array.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const all_namespaces[] = { "user", "pid", "mnt", "net", "ipc", "uts" };
static const char *const all_capabilities[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
static const char *const engines[] = { "uring", "sync", "null" };

/* With uids of their own: only root may give them away. */
static bool is_root(void)
{
        return geteuid() == 0;
}

static void check_powerless(pid_t pid)
{
        char groups[256];

        for (unsigned i = 0; i < ARRAY_SIZE(all_capabilities); i++)
                ck_assert_msg(proc_status_hex(pid, all_capabilities[i]) == 0, "%d has %s", (int) pid,
                              all_capabilities[i]);
        ck_assert_uint_eq(proc_status_number(pid, "NoNewPrivs"), 1);
        proc_status(pid, "Groups", groups, sizeof(groups));
        if (is_root())
                ck_assert_uint_eq(strspn(groups, " \t"), strlen(groups));
        ck_assert_uint_eq(proc_owner(pid), 0);
        ck_assert(proc_limit_is(pid, "Max core file size", 0));
}

static void check_filtered(pid_t pid, unsigned threads_least)
{
        unsigned threads, filtered;

        proc_threads(pid, &threads, &filtered);
        ck_assert_uint_ge(threads, threads_least);
        ck_assert_uint_eq(filtered, threads);
}

static void check_namespaces(pid_t pid)
{
        unsigned mounts;

        for (unsigned i = 0; i < ARRAY_SIZE(all_namespaces); i++)
                ck_assert_msg(proc_namespace(pid, all_namespaces[i]) != proc_namespace(getpid(), all_namespaces[i]),
                              "%d is in our %s namespace", (int) pid, all_namespaces[i]);
        ck_assert_uint_eq(proc_root_entries(pid), 0);
        ck_assert_uint_eq(proc_readonly_mounts(pid, &mounts), 1);
        ck_assert_uint_eq(mounts, 1);
}

static void check_memory(pid_t pid, const char *program)
{
        struct proc_maps maps;

        proc_maps(pid, program, &maps);
        ck_assert_uint_eq(maps.writable_executable, 0);
        ck_assert_uint_eq(maps.foreign_executable, 0);
}

START_TEST(session_and_worker_are_confined)
{
        RIG_WITH(rig, .engine = engines[_i], .set = { "worker.threads=2" });
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 4 });
        pid_t session = rig_child(&rig, "vhost-session"), worker = rig_child(&rig, "vhost-worker");

        check_powerless(session);
        check_powerless(worker);
        check_filtered(session, 1);
        check_filtered(worker, 2);
        check_namespaces(session);
        check_namespaces(worker);
        check_memory(session, "/vhost-session");
        check_memory(worker, "/vhost-worker");
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(the_broker_has_no_capability)
{
        RIG(rig);

        for (unsigned i = 0; i < ARRAY_SIZE(all_capabilities); i++)
                if (strcmp(all_capabilities[i], "CapBnd") != 0 || is_root())
                        ck_assert_uint_eq(proc_status_hex(rig.prog.pid, all_capabilities[i]), 0);
        ck_assert_uint_eq(proc_status_number(rig.prog.pid, "NoNewPrivs"), 1);
        ck_assert_uint_eq(proc_owner(rig.prog.pid), 0);
        check_filtered(rig.prog.pid, 1);
        if (is_root())
                ck_assert_uint_ne(proc_status_number(rig.prog.pid, "Uid"), 0);
}
END_TEST

/* No uid, no namespace is shared by two devices, nor by session and worker but for the empty net namespace. */
START_TEST(devices_share_nothing)
{
        RIG_WITH(rig, .neighbour = true);
        struct fe_device first = rig_device(&rig, (struct fe_options){ .queues = 1 }), second;
        pid_t pid[4] = { rig_child(&rig, "vhost-session"), rig_child(&rig, "vhost-worker") };
        pid_t found[2];

        OK(fe_device_start(rig.other_socket, NULL, &second));
        ck_assert_uint_eq(prog_find(rig.prog.pid, "vhost-session", found, 2), 2);
        pid[2] = found[0] == pid[0] ? found[1] : found[0];
        ck_assert_uint_eq(prog_find(rig.prog.pid, "vhost-worker", found, 2), 2);
        pid[3] = found[0] == pid[1] ? found[1] : found[0];
        for (unsigned i = 0; i < 4; i++)
                for (unsigned j = i + 1; j < 4; j++) {
                        bool partners = i / 2 == j / 2;

                        if (is_root())
                                ck_assert_uint_ne(proc_status_number(pid[i], "Uid"), proc_status_number(pid[j], "Uid"));
                        for (unsigned n = 0; n < ARRAY_SIZE(all_namespaces); n++)
                                ck_assert_msg((proc_namespace(pid[i], all_namespaces[n]) ==
                                               proc_namespace(pid[j], all_namespaces[n])) ==
                                                      (partners && strcmp(all_namespaces[n], "net") == 0),
                                              "%s", all_namespaces[n]);
                }
        OK(fe_device_stop(&second));
        OK(fe_device_stop(&first));
}
END_TEST

/* A namespace that is held open gives its number to no other: the next connection's is this one, and not made anew. */
START_TEST(the_net_namespace_is_kept)
{
        RIG(rig);
        uint64_t net = 0;
        char path[64];
        int held = -1;

        for (unsigned i = 0; i < 3; i++) {
                struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
                pid_t worker = rig_child(&rig, "vhost-worker");

                if (i == 0) {
                        net = proc_namespace(worker, "net");
                        snprintf(path, sizeof(path), "/proc/%d/ns/net", (int) worker);
                        held = open(path, O_RDONLY | O_CLOEXEC);
                        ck_assert_int_ge(held, 0);
                }
                ck_assert_uint_eq(proc_namespace(worker, "net"), net);
                OK(fe_device_stop(&device));
                rig_await_idle(&rig);
        }
        close(held);
}
END_TEST

/* The worker holds its channel, its disk, its vrings' eventfds, what it waits with, its ring: nothing else. */
START_TEST(descriptors_are_those_of_the_manifest)
{
        const unsigned queues = 3;
        RIG_WITH(rig, .engine = engines[_i], .queues = queues);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = queues });
        pid_t worker = rig_child(&rig, "vhost-worker"), session = rig_child(&rig, "vhost-session");
        struct proc_fds fds;

        proc_fds(worker, &fds);
        ck_assert_uint_eq(fds.sockets, 1);
        ck_assert_uint_eq(fds.files, strcmp(engines[_i], "null") ? 1 : 0);
        if (fds.files)
                ck_assert_str_eq(fds.file, rig.disk);
        ck_assert_uint_eq(fds.rings, strcmp(engines[_i], "uring") ? 0 : 1);
        ck_assert_uint_eq(fds.epolls, 1);
        ck_assert_uint_ge(fds.eventfds, 3 * queues);
        ck_assert_uint_le(fds.eventfds, 3 * queues + 2);
        ck_assert_uint_le(fds.pipes, strcmp(engines[_i], "uring") ? 1 : 0);
        ck_assert_msg(fds.others == 0, "%s", fds.other);

        proc_fds(session, &fds);
        ck_assert_uint_eq(fds.epolls + fds.rings, 0);
        ck_assert_uint_eq(fds.pipes, 2);
        ck_assert_msg(!fds.files || strncmp(fds.file, "/memfd:", 7) == 0, "%s", fds.file);

        ck_assert_uint_eq(proc_fds_inheritable(worker), 0);
        ck_assert_uint_eq(proc_fds_inheritable(session), 0);
        ck_assert_uint_eq(proc_fds_inheritable(rig.prog.pid), 0);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(read_only_is_in_the_descriptor)
{
        RIG_WITH(rig, .read_only = true);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        pid_t worker = rig_child(&rig, "vhost-worker");
        unsigned seen = 0;

        for (int fd = 0; fd < 32; fd++) {
                char path[64], target[256];
                int flags;
                ssize_t n;

                snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int) worker, fd);
                n = readlink(path, target, sizeof(target) - 1);
                if (n < 0)
                        continue;
                target[n] = '\0';
                if (strcmp(target, rig.disk) != 0)
                        continue;
                flags = proc_fd_flags(worker, fd);
                ck_assert_int_ge(flags, 0);
                ck_assert_int_eq(flags & O_ACCMODE, O_RDONLY);
                seen++;
        }
        ck_assert_uint_eq(seen, 1);
        OK(fe_device_stop(&device));
}
END_TEST

START_TEST(layouts_differ)
{
        RIG(rig);
        uint64_t seen[20];

        for (unsigned i = 0; i < ARRAY_SIZE(seen); i++) {
                struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
                struct proc_maps maps;

                proc_maps(rig_child(&rig, "vhost-worker"), "/vhost-worker", &maps);
                seen[i] = maps.first;
                for (unsigned j = 0; j < i; j++)
                        ck_assert_uint_ne(seen[i], seen[j]);
                OK(fe_device_stop(&device));
                rig_await_idle(&rig);
        }
}
END_TEST

/* Idle, each sleeps in a call that the kernel must take up again by itself: restart_syscall is not allowed. */
START_TEST(stopped_and_continued_they_serve_on)
{
        RIG_WITH(rig, .engine = engines[_i], .set = { "worker.threads=2" });
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 4 });
        struct drv_blk blk = rig_blk(&device, 3);
        const pid_t pid[] = { rig_child(&rig, "vhost-session"), rig_child(&rig, "vhost-worker") };
        uint8_t got[512];

        for (unsigned i = 0; i < ARRAY_SIZE(pid); i++) {
                OK(prog_halt(pid[i], FE_TIMEOUT_MS));
                ck_assert_int_eq(kill(pid[i], SIGCONT), 0);
                OK(prog_await_state(pid[i], 'S', FE_TIMEOUT_MS));
        }
        OK(drv_blk_read(&blk, 1, got, sizeof(got)));
        ck_assert(rig_child(&rig, "vhost-session") == pid[0] && rig_child(&rig, "vhost-worker") == pid[1]);
        drv_blk_done(&blk);
        OK(fe_device_stop(&device));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("confinement");
        TCase *all = tcase_create("all");

        tcase_set_timeout(all, 60);
        tcase_add_loop_test(all, session_and_worker_are_confined, 0, ARRAY_SIZE(engines));
        tcase_add_test(all, the_broker_has_no_capability);
        tcase_add_test(all, devices_share_nothing);
        tcase_add_test(all, the_net_namespace_is_kept);
        tcase_add_loop_test(all, descriptors_are_those_of_the_manifest, 0, ARRAY_SIZE(engines));
        tcase_add_test(all, read_only_is_in_the_descriptor);
        tcase_add_test(all, layouts_differ);
        tcase_add_loop_test(all, stopped_and_continued_they_serve_on, 0, ARRAY_SIZE(engines));
        suite_add_tcase(suite, all);
        return rig_main(suite);
}
