/*
 * The one table of control packets, for both ends.
 */
#include "control_packets.h"

#include "array.h"

#include <errno.h>

struct rule {
        uint16_t length; /* bytes of the body */
        bool from_broker;
        uint16_t answer; /* to a question: enum control_type */
};

static const struct rule rules[CONTROL_TYPES] = {
        [CONTROL_ASK_BROKER] = { 0, false, CONTROL_BROKER },
        [CONTROL_ASK_DEVICE] = { sizeof(struct control_ask), false, CONTROL_DEVICE },
        [CONTROL_ASK_ALLOWED] = { sizeof(struct control_ask), false, CONTROL_ALLOWED_IDS },
        [CONTROL_ASK_TEXT] = { sizeof(struct control_ask_text), false, CONTROL_TEXT_PART },
        [CONTROL_ASK_STATS] = { sizeof(struct control_ask_stats), false, CONTROL_STATS_PART },
        [CONTROL_ASK_LIMITS] = { sizeof(struct control_ask), false, CONTROL_LIMITS },

        [CONTROL_BROKER] = { sizeof(struct control_broker), true, 0 },
        [CONTROL_DEVICE] = { sizeof(struct control_device), true, 0 },
        [CONTROL_ALLOWED_IDS] = { sizeof(struct control_allowed), true, 0 },
        [CONTROL_TEXT_PART] = { sizeof(struct control_text_part), true, 0 },
        [CONTROL_STATS_PART] = { sizeof(struct control_stats_part), true, 0 },
        [CONTROL_LIMITS] = { sizeof(struct control_limits), true, 0 },
        [CONTROL_REFUSED] = { sizeof(struct control_refused), true, 0 },
};

int control_check(const struct packet *packet, bool from_broker)
{
        unsigned type = packet->header.type;

        if (type == 0 || type >= CONTROL_TYPES || rules[type].from_broker != from_broker)
                return -EPROTO;
        return packet->header.length == rules[type].length && packet->n_fds == 0 ? 0 : -EBADMSG;
}

uint16_t control_answer_to(unsigned question)
{
        return rules[question].answer;
}

uint16_t control_length_of(unsigned type)
{
        return rules[type].length;
}
