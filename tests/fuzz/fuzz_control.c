/*
 * The input is whoever asks the broker at its control socket: each record a packet, whose answer must be one that
 * vhostctl's own check takes, with every text ended and every number of bytes within its field. Then it is a broker:
 * the same records are answers to vhostctl, whose own questions they meet in any order.
 *
 * A record: type, how (bit 0: as long as its type says), length, body.
 */
#include "brokers.h"
#include "control_answers.h"
#include "device.h"
#include "down.h"
#include "host.h"
#include "statistics.h"
#include "stats_sum.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEVICES = 2, PATH_BYTES = 4000, ANSWERS = 16 };

static void check_device(const struct control_device *said)
{
        if (said->state >= CONTROL_STATES || !memchr(said->name, 0, sizeof(said->name)) ||
            !memchr(said->vm, 0, sizeof(said->vm)) || !memchr(said->serial, 0, sizeof(said->serial)))
                abort();
}

static void check_answer(const struct packet *question, const struct packet *answer)
{
        const struct control_text_part *part = (const struct control_text_part *) answer->body;

        if (control_check(answer, true) < 0 || answer->header.sequence != question->header.sequence)
                abort();
        if (answer->header.type == CONTROL_DEVICE)
                check_device((const struct control_device *) answer->body);
        if (answer->header.type == CONTROL_TEXT_PART && (part->n > sizeof(part->text) || part->n > part->total))
                abort();
}

static size_t ask(const struct host *host, const uint8_t *data, size_t size)
{
        struct packet question = { .header = { .type = data[0], .length = data[2], .sequence = data[1] } }, answer;
        size_t given = question.header.length < size - 3 ? question.header.length : size - 3;

        memcpy(question.body, data + 3, given);
        if (data[1] & 1 && data[0] && data[0] < CONTROL_TYPES)
                question.header.length = control_length_of(data[0]);
        if (control_answer(host, &question, &answer) == 0)
                check_answer(&question, &answer);
        return 3 + given;
}

/* Puts the records into the socket, as answers to the questions 1, 2, ... */
static void put_answers(int to, const uint8_t *data, size_t size)
{
        for (uint32_t sequence = 1; size > 3 && sequence < ANSWERS; sequence++) {
                size_t n = data[1] & 1 && data[0] < CONTROL_TYPES ? control_length_of(data[0]) : data[2];
                size_t given = n < size - 3 ? n : size - 3;
                uint8_t body[PACKET_BODY_MAX] = { 0 };

                memcpy(body, data + 3, given);
                if (packet_send(to, data[0], data[1] & 2 ? 0 : sequence, body, n, NULL, 0) < 0)
                        return;
                data += 3 + given;
                size -= 3 + given;
        }
}

static void check_stats(const struct stats_page *page)
{
        struct stats_page sum = *page;

        stats_sum(&sum, page);
        for (unsigned i = 0; i < STATS_TIMED; i++)
                if (stats_count(sum.latency[i]) < stats_count(page->latency[i]) ||
                    stats_quantile(sum.latency[i], 500) > stats_quantile(sum.latency[i], 999))
                        abort();
}

/* Every question of vhostctl's until there is no answer left. */
static void be_asked(const uint8_t *data, size_t size)
{
        struct broker broker = { 0 };
        struct brokers brokers = { .broker = &broker, .n = 1 };
        struct known_device device = { .broker = &broker };
        struct control_allowed allowed;
        struct control_limits limits;
        struct stats_page page;
        char text[BROKERS_TEXT_MOST];
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                abort();
        broker.socket.num = pair[0];
        put_answers(pair[1], data, size);
        shutdown(pair[1], SHUT_WR);
        while (brokers.sequence < ANSWERS) {
                if (brokers_refresh(&brokers, &device) == 0)
                        check_device(&device.said);
                if (brokers_allowed(&brokers, &device, &allowed) == 0 &&
                    (allowed.users > CONTROL_ALLOWED || allowed.groups > CONTROL_ALLOWED))
                        abort();
                if (brokers_text(&brokers, &device, CONTROL_PATH, text, sizeof(text)) == 0 &&
                    !memchr(text, 0, sizeof(text)))
                        abort();
                brokers_limits(&brokers, &device, &limits);
                if (brokers_stats(&brokers, &device, 0, &page) == 0)
                        check_stats(&page);
        }
        fd_close(&broker.socket);
        close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char path[PATH_BYTES + 1];
        struct device_config config[DEVICES];
        struct device device[DEVICES];
        struct down down = { .name = "down" };
        struct host host = { .device = device, .n_devices = DEVICES, .down = &down, .n_down = 1 };

        memset(path, 'p', PATH_BYTES);
        path[PATH_BYTES] = '\0';
        for (unsigned i = 0; i < DEVICES; i++) {
                config[i] = (struct device_config){ .name = "name", .type = policy_devices[i], .vm = "vm" };
                config[i].block.path = i ? NULL : path;
                config[i].worker.threads = 1;
                device[i] = (struct device){ .config = &config[i], .host = &host, .held = FD_NONE };
                if (statistics_make(config[i].name, 1, &device[i].statistics) < 0)
                        abort();
                serving_init(&device[i].serving, &host, &device[i].log, NULL, NULL);
        }
        be_asked(data, size);
        while (size > 3) {
                size_t used = ask(&host, data, size);

                data += used;
                size -= used;
        }
        for (unsigned i = 0; i < DEVICES; i++)
                fd_close(&device[i].statistics);
        return 0;
}
