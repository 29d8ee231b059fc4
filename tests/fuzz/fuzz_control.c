/*
 * The input is whoever asks the broker at its control socket: each record a packet, whose answer must be one that
 * vhostctl's own check takes, with every text ended and every number of bytes within its field.
 *
 * A record: type, how (bit 0: as long as its type says), length, body.
 */
#include "control_answers.h"
#include "device.h"
#include "down.h"
#include "host.h"
#include "statistics.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEVICES = 2, PATH_BYTES = 4000 };

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
                if (statistics_make(1, &device[i].statistics) < 0)
                        abort();
                serving_init(&device[i].serving, &host, &device[i].log, NULL, NULL);
        }
        while (size > 3) {
                size_t used = ask(&host, data, size);

                data += used;
                size -= used;
        }
        for (unsigned i = 0; i < DEVICES; i++)
                fd_close(&device[i].statistics);
        return 0;
}
