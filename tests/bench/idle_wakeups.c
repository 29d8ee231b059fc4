/*
 * Wake-ups of an idle device: context switches of every thread of broker, session and worker over some seconds, after
 * the device was used on each of its queues. There must be none: exit status 1 otherwise.
 *
 *   idle-wakeups BROKER [uring|sync] [SECONDS]
 */
#include "log.h"
#include "stand.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned long switches_of_thread(pid_t pid, const char *tid)
{
        char path[96], line[256];
        unsigned long sum = 0, value;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", (int) pid, tid);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "voluntary_ctxt_switches: %lu", &value) == 1 ||
                    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &value) == 1)
                        sum += value;
        if (f)
                fclose(f);
        return sum;
}

static unsigned long switches_of(pid_t pid)
{
        unsigned long sum = 0;
        struct dirent *entry;
        char path[64];
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/task", (int) pid);
        dir = opendir(path);
        while (dir && (entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        sum += switches_of_thread(pid, entry->d_name);
        if (dir)
                closedir(dir);
        return sum;
}

static void rest(time_t seconds)
{
        const struct timespec time = { .tv_sec = seconds }; /* time itself is what is measured over */

        nanosleep(&time, NULL);
}

static unsigned long watch(const char *name, pid_t pid, unsigned long before, unsigned seconds)
{
        unsigned long woken = switches_of(pid) - before;

        printf("%-14s %lu wake-ups in %u s\n", name, woken, seconds);
        return woken;
}

static int measure(struct stand *stand, unsigned seconds, unsigned long *ret_woken)
{
        unsigned long broker, session, worker;
        pid_t session_pid, worker_pid;
        int r = stand_use(stand, 0);

        if (!r)
                r = stand_await(stand, 1);
        if (r)
                return r;
        prog_find(stand->prog.pid, "vhost-session", &session_pid, 1);
        prog_find(stand->prog.pid, "vhost-worker", &worker_pid, 1);
        rest(2); /* polling windows close, log lines are written */
        broker = switches_of(stand->prog.pid);
        session = switches_of(session_pid);
        worker = switches_of(worker_pid);
        rest(seconds);
        *ret_woken = watch("vhost-broker", stand->prog.pid, broker, seconds);
        *ret_woken += watch("vhost-session", session_pid, session, seconds);
        *ret_woken += watch("vhost-worker", worker_pid, worker, seconds);
        return 0;
}

int main(int argc, char **argv)
{
        const char *engine = argc > 2 ? argv[2] : "uring";
        unsigned seconds = argc > 3 ? (unsigned) atoi(argv[3]) : 10;
        struct stand *stand = calloc(1, sizeof(*stand));
        unsigned long woken = 0;
        int r;

        if (argc < 2 || !seconds || !stand) {
                fprintf(stderr, "idle-wakeups BROKER [uring|sync] [SECONDS]\n");
                return 2;
        }
        r = stand_start(stand, argv[1], engine, 1);
        if (!r)
                r = measure(stand, seconds, &woken);
        stand_stop(stand);
        if (r)
                fprintf(stderr, "idle-wakeups: %s\n", log_errno(r));
        return r || woken ? 1 : 0;
}
