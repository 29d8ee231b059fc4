/*
 * Facts.
 */
#include "showing.h"

#include <inttypes.h>
#include <stdio.h>

void show_text(struct showing *to, const char *key, const char *text)
{
        if (!text[0])
                return;
        if (to->as_json)
                json_text(&to->json, key, text);
        else
                printf("%-22s %s\n", key, text);
}

void show_number(struct showing *to, const char *key, uint64_t number)
{
        if (to->as_json)
                json_number(&to->json, key, number);
        else
                printf("%-22s %" PRIu64 "\n", key, number);
}

void show_bool(struct showing *to, const char *key, bool is)
{
        if (to->as_json)
                json_bool(&to->json, key, is);
        else
                printf("%-22s %s\n", key, is ? "yes" : "no");
}

void show_bits(struct showing *to, const char *key, uint64_t bits)
{
        char text[20];

        snprintf(text, sizeof(text), "0x%" PRIx64, bits);
        show_text(to, key, text);
}
