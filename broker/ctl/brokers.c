/*
 * Asking brokers.
 */
#include "brokers.h"

#include "array.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000 };

/* Where brokers with a directory of device files put their sockets (vhost-broker(8), --control-socket). */
static const char *const usual_places[] = {
        "/run/vhost-broker/control.sock",
        "/run/vhost-broker/*.control",
        "/run/vhost-broker/*/control.sock",
};

static int connect_to(const char *path, struct fd *ret_socket)
{
        const struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 }; /* where its queue is full */
        AUTO_FD sock = { socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) };
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (!fd_has(&sock))
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        if (setsockopt(sock.num, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
                return -errno;
        if (connect(sock.num, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        *ret_socket = fd_take(&sock);
        return 0;
}

/* One question, one answer. -EACCES: hung up on, which is how a broker refuses. */
static int ask(struct brokers *brokers, const struct broker *broker, enum control_type question, const void *body,
               void *ret_answer)
{
        struct pollfd ready = { .fd = broker->socket.num, .events = POLLIN };
        struct packet packet;
        int r = packet_send(broker->socket.num, question, ++brokers->sequence, body, control_length_of(question), NULL,
                            0);

        if (r < 0)
                return r == -EPIPE || r == -ECONNRESET ? -EACCES : r;
        if (poll(&ready, 1, PATIENCE_MS) == 0)
                return -ETIMEDOUT;
        r = packet_recv(broker->socket.num, 0, &packet);
        if (r == 0)
                r = control_check(&packet, true);
        if (r < 0)
                return r == -ENODATA ? -EACCES : r;
        if (packet.header.sequence != brokers->sequence)
                return -EPROTO;
        if (packet.header.type == CONTROL_REFUSED) {
                const struct control_refused *refused = (const struct control_refused *) packet.body;

                return refused->error < 0 && refused->error > -4096 ? refused->error : -EPROTO;
        }
        if (packet.header.type != control_answer_to(question))
                return -EPROTO;
        memcpy(ret_answer, packet.body, packet.header.length);
        return 0;
}

static void end_text(char *text, size_t size)
{
        text[size - 1] = '\0';
        log_clean(text, strlen(text));
}

static int ask_device(struct brokers *brokers, struct broker *broker, uint32_t index, struct known_device *ret_device)
{
        struct control_device *said = &ret_device->said;
        int r = ask(brokers, broker, CONTROL_ASK_DEVICE, &(struct control_ask){ .index = index }, said);

        if (r < 0)
                return r;
        ret_device->broker = broker;
        end_text(said->name, sizeof(said->name));
        end_text(said->vm, sizeof(said->vm));
        end_text(said->serial, sizeof(said->serial));
        return said->index == index && said->state < CONTROL_STATES && said->pid[0] >= 0 && said->pid[1] >= 0 &&
                               said->threads <= UINT16_MAX && said->queues <= UINT16_MAX &&
                               said->queue_size <= UINT16_MAX
                       ? 0
                       : -EPROTO;
}

int brokers_refresh(struct brokers *brokers, struct known_device *device)
{
        return ask_device(brokers, device->broker, device->said.index, device);
}

int brokers_allowed(struct brokers *brokers, const struct known_device *device, struct control_allowed *ret_allowed)
{
        int r = ask(brokers, device->broker, CONTROL_ASK_ALLOWED, &(struct control_ask){ .index = device->said.index },
                    ret_allowed);

        if (r == 0 && (ret_allowed->users > CONTROL_ALLOWED || ret_allowed->groups > CONTROL_ALLOWED))
                r = -EPROTO;
        return r;
}

int brokers_text(struct brokers *brokers, const struct known_device *device, enum control_text which, char *ret_text,
                 size_t size)
{
        struct control_ask_text question = { .index = device->said.index, .which = which };
        struct control_text_part part;

        do {
                int r = ask(brokers, device->broker, CONTROL_ASK_TEXT, &question, &part);

                if (r < 0)
                        return r;
                if (part.n > sizeof(part.text) || part.n > size - 1 - question.offset)
                        return -EPROTO;
                memcpy(ret_text + question.offset, part.text, part.n);
                question.offset += part.n;
        } while (part.n && question.offset < part.total);
        ret_text[question.offset] = '\0';
        log_clean(ret_text, strlen(ret_text));
        return 0;
}

int brokers_limits(struct brokers *brokers, const struct known_device *device, struct control_limits *ret_limits)
{
        return ask(brokers, device->broker, CONTROL_ASK_LIMITS, &(struct control_ask){ .index = device->said.index },
                   ret_limits);
}

int brokers_stats(struct brokers *brokers, const struct known_device *device, uint32_t loop,
                  struct stats_page *ret_page)
{
        struct control_stats_part parts[CONTROL_STATS_PARTS];

        for (uint32_t i = 0; i < CONTROL_STATS_PARTS; i++) {
                const struct control_ask_stats question = { .index = device->said.index, .loop = loop, .part = i };
                int r = ask(brokers, device->broker, CONTROL_ASK_STATS, &question, &parts[i]);

                if (r < 0)
                        return r;
        }
        memcpy(ret_page, parts, sizeof(*ret_page));
        return 0;
}

static int ask_all(struct brokers *brokers, struct broker *broker)
{
        struct known_device *grown;
        int r = ask(brokers, broker, CONTROL_ASK_BROKER, NULL, &broker->said);

        if (r < 0)
                return r;
        end_text(broker->said.release, sizeof(broker->said.release));
        if (broker->said.version != CONTROL_VERSION)
                return -EPROTONOSUPPORT;
        if (broker->said.devices > BROKERS_DEVICES_MOST || broker->said.pid <= 0)
                return -EPROTO;
        grown = reallocarray(brokers->device, brokers->n_devices + broker->said.devices + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        brokers->device = grown;
        for (uint32_t i = 0; r == 0 && i < broker->said.devices; i++) {
                r = ask_device(brokers, broker, i, &grown[brokers->n_devices]);
                brokers->n_devices += r == 0;
        }
        return r;
}

static void forget(struct brokers *brokers, struct broker *broker, size_t n_devices)
{
        brokers->n_devices = n_devices;
        fd_close(&broker->socket);
        free(broker->path);
}

static int open_one(struct brokers *brokers, const char *path)
{
        struct broker *broker = &brokers->broker[brokers->n];
        size_t n_devices = brokers->n_devices;
        int r;

        *broker = (struct broker){ .socket = FD_NONE, .path = strdup(path) };
        if (!broker->path)
                return -ENOMEM;
        r = connect_to(path, &broker->socket);
        if (r == 0)
                r = ask_all(brokers, broker);
        if (r < 0)
                forget(brokers, broker, n_devices);
        else
                brokers->n++;
        return r;
}

/* One that does not answer hides no other. */
static int open_or_note(struct brokers *brokers, const char *path, bool usual)
{
        struct mute_broker *mute = &brokers->mute[brokers->n_mute];
        int r = open_one(brokers, path);

        if (r == 0 || r == -ENOMEM)
                return r;
        if (usual && (r == -ECONNREFUSED || r == -ENOENT))
                return 0; /* a socket that a broker left behind is nobody's */
        *mute = (struct mute_broker){ strdup(path), r };
        if (!mute->path)
                return -ENOMEM;
        brokers->n_mute++;
        return 0;
}

static void usual(glob_t *found)
{
        for (unsigned i = 0; i < ARRAY_SIZE(usual_places); i++)
                glob(usual_places[i], GLOB_NOSORT | (i ? GLOB_APPEND : 0), NULL, found);
}

static int open_usual(struct brokers *brokers, const glob_t *found)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < found->gl_pathc && brokers->n + brokers->n_mute < BROKERS_MOST; i++)
                r = open_or_note(brokers, found->gl_pathv[i], true);
        return r == 0 && brokers->n + brokers->n_mute == 0 ? -ENOENT : r;
}

int brokers_open(const char *path, struct brokers *ret_brokers)
{
        glob_t found = { 0 };
        size_t n = 1;
        int r;

        *ret_brokers = (struct brokers){ 0 };
        if (!path) {
                usual(&found);
                n = found.gl_pathc + 1;
        }
        /* Devices point to their brokers, so the array must not move. */
        ret_brokers->broker = calloc(n, sizeof(*ret_brokers->broker));
        ret_brokers->mute = calloc(n, sizeof(*ret_brokers->mute));
        if (!ret_brokers->broker || !ret_brokers->mute)
                r = -ENOMEM;
        else
                r = path ? open_or_note(ret_brokers, path, false) : open_usual(ret_brokers, &found);
        if (!path)
                globfree(&found);
        return r;
}

void brokers_done(struct brokers *brokers)
{
        for (unsigned i = 0; i < brokers->n; i++) {
                fd_close(&brokers->broker[i].socket);
                free(brokers->broker[i].path);
        }
        for (unsigned i = 0; i < brokers->n_mute; i++)
                free(brokers->mute[i].path);
        free(brokers->broker);
        free(brokers->mute);
        free(brokers->device);
        *brokers = (struct brokers){ 0 };
}
