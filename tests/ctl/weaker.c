/*
 * Each layer that a device's file may let go: without the word the host that lacks it gets no device; with it there is
 * one, and the log, vhostctl list and vhostctl inspect say what it lacks. No other key is of that kind.
 */
#include "faults.h"
#include "run_ctl.h"

#include "ipc.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PR_MDWE = 65 };

static const struct weaker {
        const char *words; /* of MayLack= */
        uint32_t layers;   /* enum ipc_layer */
        struct fault fault; /* this host lacks it. No call: it is the broker's start that does without */
        const char *refused; /* what the log says without the words */
        const char *log, *list, *inspect;
} all[] = {
        { "landlock", IPC_LAYER_LANDLOCK,
          { FAULT_ANYWHERE, "landlock_create_ruleset", ENOSYS, .always = true },
          "landlock: ENOSYS", "without landlock", "landlock", "  weaker landlock" },
        { "mdwe", IPC_LAYER_MDWE,
          { FAULT_ANYWHERE, "prctl", EINVAL, .argument[0] = { UINT64_MAX, PR_MDWE }, .always = true },
          "memory-deny-write-execute: ENOSYS", "without mdwe", "mdwe", "  weaker mdwe" },
        { "namespaces uids", IPC_LAYER_NAMESPACES | IPC_LAYER_UIDS,
          { FAULT_BROKER, "unshare", EPERM, .argument[0] = { CLONE_NEWUSER, CLONE_NEWUSER }, .always = true },
          "this host makes no user namespace", "without namespaces, without uids of its own", "namespaces,uids",
          "  weaker ns/user" },
        { "uids", IPC_LAYER_UIDS, { .call = NULL },
          "root without SETUID and SETGID", "without uids of its own", "uids", "  weaker uid " },
};
enum { WEAKER = sizeof(all) / sizeof(all[0]) };

/* A broker of root's that may not choose ids. */
static void no_ids(void)
{
        char path[200];
        FILE *file;

        snprintf(path, sizeof(path), "%s/without-ids", getenv("RIG_DIR"));
        file = fopen(path, "we");
        ck_assert(file != NULL);
        fprintf(file, "#!/bin/sh\nexec setpriv --bounding-set=-setuid,-setgid --inh-caps=-all -- '%s' \"$@\"\n",
                getenv("VHOST_BROKER"));
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(chmod(path, 0755), 0);
        setenv("VHOST_BROKER", path, 1);
}

static struct faults *prepare(const struct weaker *weaker)
{
        struct faults *faults;

        if (!weaker->fault.call) {
                no_ids();
                return NULL;
        }
        faults = faults_new(weaker->fault.call);
        faults_arm(faults, &weaker->fault, 0);
        return faults;
}

START_TEST(says_what_it_lacks)
{
        const struct weaker *weaker = &all[_i];
        struct faults *faults = prepare(weaker);
        struct ctl_said *said = calloc(1, sizeof(*said));
        struct fe_device device;
        char set[100], line[100];
        struct rig rig;

        ck_assert(said != NULL);
        snprintf(set, sizeof(set), "sandbox.MayLack=%s", weaker->words);
        rig = rig_start((struct rig_options){ .set = { set } });
        device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        OK(prog_log_wait(&rig.prog, 0, weaker->log, FE_TIMEOUT_MS));
        CTL(&rig, said, "list");
        ctl_expect(said, 0);
        ctl_expect_text(said, weaker->list);
        snprintf(line, sizeof(line), "(%s)", weaker->list); /* in parentheses: it could be missing, and is not */
        ck_assert_msg(!strstr(said->out, line), "%s", said->out);
        CTL(&rig, said, "inspect", "block");
        ctl_expect(said, 0);
        ctl_expect_text(said, weaker->inspect);
        OK(fe_device_stop(&device));
        rig_stop(&rig);
        if (faults)
                faults_free(faults);
        free(said);
}
END_TEST

START_TEST(is_none_without_the_word)
{
        const struct weaker *weaker = &all[_i];
        struct faults *faults = prepare(weaker);
        char socket[100], option[120];
        char *argv[] = { getenv("VHOST_BROKER"), "--type=rng", option, NULL };
        struct fe_conn conn;
        struct prog prog;
        uint64_t features;
        int status = 0, ms;

        snprintf(socket, sizeof(socket), "%s/s", getenv("RIG_DIR"));
        snprintf(option, sizeof(option), "--socket-path=%s", socket);
        OK(prog_start(argv, &prog));
        if (weaker->layers & IPC_LAYER_UIDS) {
                OK(prog_end(&prog, RIG_START_MS, &status));
                ck_assert_int_ne(status, 0);
                OK(prog_log_wait(&prog, 0, weaker->refused, 0));
                prog_done(&prog);
        } else {
                OK(prog_ready(&prog, RIG_START_MS));
                OK(fe_connect(socket, FE_TIMEOUT_MS, &conn));
                ck_assert_int_lt(fe_get_features(&conn, &features), 0);
                OK(prog_log_wait(&prog, 0, weaker->refused, FE_TIMEOUT_MS));
                fe_close(&conn);
                OK(prog_stop(&prog, RIG_STOP_MS, &status, &ms));
        }
        unlink(socket);
        if (faults)
                faults_free(faults);
}
END_TEST

/* A word that is none says which there are: those above. */
START_TEST(all_words_are_tried)
{
        static const char *const words[] = { "namespaces", "uids", "landlock", "mdwe" };
        char command[400], line[1000] = "";
        uint32_t tried = 0;
        FILE *output;

        for (unsigned i = 0; i < WEAKER; i++)
                tried |= all[i].layers;
        ck_assert_uint_eq(tried, (1u << sizeof(words) / sizeof(words[0])) - 1);
        snprintf(command, sizeof(command), "'%s' --type=rng --socket-path=/nowhere --set sandbox.MayLack=seccomp 2>&1",
                 getenv("VHOST_BROKER"));
        output = popen(command, "re");
        ck_assert(output != NULL && fgets(line, sizeof(line), output));
        ck_assert_int_ne(pclose(output), 0);
        for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                ck_assert_msg(strstr(line, words[i]) != NULL, "%s", line);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ctl_weaker");
        TCase *c = tcase_create("all");

        if (geteuid() != 0) {
                puts("skipped: only root may answer for the kernel");
                return 77;
        }
        tcase_set_timeout(c, 60);
        tcase_add_test(c, all_words_are_tried);
        tcase_add_loop_test(c, says_what_it_lacks, 0, WEAKER);
        tcase_add_loop_test(c, is_none_without_the_word, 0, WEAKER);
        suite_add_tcase(suite, c);
        return rig_main(suite);
}
