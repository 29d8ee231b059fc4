/*
 * JSON (RFC 8259). Texts are taken as bytes: what is not ASCII is written as the code point of its byte.
 */
#include "json.h"

#include <assert.h>
#include <inttypes.h>

static void quote(FILE *out, const char *text)
{
        fputc('"', out);
        for (const unsigned char *c = (const unsigned char *) text; *c; c++)
                if (*c == '"' || *c == '\\')
                        fprintf(out, "\\%c", *c);
                else if (*c < 0x20 || *c >= 0x7f)
                        fprintf(out, "\\u%04x", *c);
                else
                        fputc(*c, out);
        fputc('"', out);
}

static void begin(struct json *json, const char *key)
{
        if (json->more[json->depth])
                fputc(',', json->out);
        json->more[json->depth] = true;
        if (key) {
                quote(json->out, key);
                fputc(':', json->out);
        }
}

static void nest(struct json *json, const char *key, char open, char close)
{
        begin(json, key);
        fputc(open, json->out);
        json->depth++;
        assert(json->depth < JSON_DEPTH);
        json->more[json->depth] = false;
        json->close[json->depth] = close;
}

void json_object(struct json *json, const char *key)
{
        nest(json, key, '{', '}');
}

void json_array(struct json *json, const char *key)
{
        nest(json, key, '[', ']');
}

void json_end(struct json *json)
{
        fputc(json->close[json->depth], json->out);
        json->depth--;
        if (json->depth == 0)
                fputc('\n', json->out);
}

void json_text(struct json *json, const char *key, const char *text)
{
        begin(json, key);
        quote(json->out, text);
}

void json_number(struct json *json, const char *key, uint64_t number)
{
        begin(json, key);
        fprintf(json->out, "%" PRIu64, number);
}

void json_bool(struct json *json, const char *key, bool is)
{
        begin(json, key);
        fputs(is ? "true" : "false", json->out);
}
