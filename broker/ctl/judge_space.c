/*
 * What it can see of the host: namespaces, network, root directory.
 */
#include "inspect.h"

#include "ipc.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

static unsigned ns_index(const char *name)
{
        unsigned i = 0;

        while (i < PROCESS_NAMESPACES - 1 && strcmp(process_namespaces[i], name) != 0)
                i++;
        return i;
}

/* Who else is in its namespace: a subject, not its partner if those two share. NULL: nobody. */
static const struct subject *who_shares(const struct inspection *in, const struct subject *s, unsigned ns,
                                        enum policy_share share)
{
        const struct subject *partner = partner_of(in, s);

        for (size_t i = 0; i < in->n; i++) {
                const struct subject *other = &in->subject[i];

                if (other != s && other->process.ns[ns] == s->process.ns[ns] &&
                    !(share == POLICY_PAIR && other == partner))
                        return other;
        }
        return NULL;
}

static void judge_namespace(struct inspection *in, const struct subject *s, const char *name, enum policy_share share)
{
        unsigned ns = ns_index(name);
        const struct subject *partner = partner_of(in, s), *other = who_shares(in, s, ns, share);
        enum verdict else_ = lacking(s, IPC_LAYER_NAMESPACES);
        char measure[16];

        snprintf(measure, sizeof(measure), "ns/%s", name);
        if (s->process.ns[ns] == 0)
                report_line(&in->report, REPORT_SHORT, measure, "not readable");
        else if (is_of_the_host(in, s, ns))
                report_line(&in->report, else_, measure, "it is the host's");
        else if (other)
                report_line(&in->report, else_, measure, "process %d is in it as well", (int) other->process.pid);
        else if (share == POLICY_PAIR && partner && partner->process.ns[ns] != s->process.ns[ns])
                report_line(&in->report, else_, measure, "its session or worker is in another");
        else
                report_line(&in->report, REPORT_OK, measure, "%" PRIu64 ", not the host's (%" PRIu64 "), %s",
                            s->process.ns[ns], in->own.ns[ns],
                            share == POLICY_PAIR ? "shared by session and worker only" : "nobody else's");
}

/* A net namespace is empty if nothing in it ever sent or received a byte, and it knows no way out. */
static void judge_network(struct inspection *in, const struct subject *s)
{
        FILE *dev = process_file(&s->process, "net/dev"), *route = process_file(&s->process, "net/route");
        enum verdict else_ = lacking(s, IPC_LAYER_NAMESPACES);
        unsigned interfaces = 0, used = 0, routes = 0;
        char line[512];

        while (dev && fgets(line, sizeof(line), dev)) {
                uint64_t received, sent;
                char *colon = strchr(line, ':');

                if (!colon)
                        continue;
                interfaces++;
                if (sscanf(colon + 1, "%" SCNu64 " %*s %*s %*s %*s %*s %*s %*s %" SCNu64, &received, &sent) == 2)
                        used += received || sent;
        }
        while (route && fgets(line, sizeof(line), route))
                routes += strncmp(line, "Iface", 5) != 0;
        if (!dev || !route)
                report_line(&in->report, REPORT_SHORT, "network", "not readable: %s", log_errno(errno));
        else if (used || routes)
                report_line(&in->report, else_, "network", "%u interfaces in use, %u routes", used, routes);
        else
                report_line(&in->report, REPORT_OK, "network", "%u interfaces, none ever used, no route", interfaces);
        if (dev)
                fclose(dev);
        if (route)
                fclose(route);
}

void judge_namespaces(struct inspection *in, const struct subject *s)
{
        for (unsigned i = 0; i < POLICY_NAMESPACES; i++)
                judge_namespace(in, s, s->policy->namespaces[i].name, s->policy->namespaces[i].share);
        report_line(&in->report, REPORT_NOTE, "ns/cgroup", "%" PRIu64 "%s", s->process.ns[ns_index("cgroup")],
                    is_of_the_host(in, s, ns_index("cgroup")) ? ", the host's: none of its own is demanded" : "");
        judge_network(in, s);
}

/* Entries of its root directory; -errno. */
static int root_entries(const struct subject *s)
{
        struct fd dir = { openat(s->process.dir.num, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
        DIR *root = fd_has(&dir) ? fdopendir(dir.num) : NULL;
        struct dirent *entry;
        int n = 0;

        if (!root) {
                n = -errno;
                fd_close(&dir);
                return n;
        }
        while ((entry = readdir(root)))
                n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        closedir(root);
        return n;
}

static bool has_option(const char *options, const char *option)
{
        size_t n = strlen(option);

        for (const char *at = options; at; at = strchr(at, ',')) {
                at += *at == ',';
                if (strncmp(at, option, n) == 0 && (at[n] == ',' || at[n] == '\0'))
                        return true;
        }
        return false;
}

static void judge_mounts(struct inspection *in, const struct subject *s)
{
        FILE *mounts = process_file(&s->process, "mountinfo");
        enum verdict else_ = lacking(s, IPC_LAYER_NAMESPACES);
        char line[1024], options[128] = "", first[128] = "";
        unsigned n = 0;

        while (mounts && fgets(line, sizeof(line), mounts))
                if (sscanf(line, "%*s %*s %*s %*s %*s %127s", options) == 1 && n++ == 0)
                        memcpy(first, options, sizeof(first));
        if (mounts)
                fclose(mounts);
        if (n != 1)
                report_line(&in->report, else_, "mounts", "%u instead of one", n);
        else if (!has_option(first, "ro") || !has_option(first, "nosuid") || !has_option(first, "nodev") ||
                 !has_option(first, "noexec"))
                report_line(&in->report, else_, "mounts", "the root is %s, not ro,nosuid,nodev,noexec", first);
        else
                report_line(&in->report, REPORT_OK, "mounts", "one, %s", first);
}

void judge_root(struct inspection *in, const struct subject *s)
{
        int n = root_entries(s);

        judge_mounts(in, s);
        if (n < 0)
                report_line(&in->report, REPORT_SHORT, "root", "not readable: %s", log_errno(n));
        else if (n > 0)
                report_line(&in->report, lacking(s, IPC_LAYER_NAMESPACES), "root", "%d entries, not empty", n);
        else
                report_line(&in->report, REPORT_OK, "root", "empty");
}
