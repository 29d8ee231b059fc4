/*
 * Values of config keys. The text comes from the operator: it is checked so that mistakes are found, and it may be
 * long or odd, but it isn't hostile.
 */
#include "config_value.h"

#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACES " \t"

int value_refuse(struct value_why *why, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(why->text, sizeof(why->text), format, arguments);
        va_end(arguments);
        return -EINVAL;
}

/* Bytes of the control character that the text begins with, ASCII's or, in UTF-8, of ISO 6429's upper half; 0: none. */
static unsigned control_at(const char *text)
{
        const unsigned char *c = (const unsigned char *) text;

        if (iscntrl(c[0]))
                return 1;
        return c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0;
}

bool value_has_control(const char *text)
{
        while (*text && control_at(text) == 0)
                text++;
        return *text;
}

void value_shown(const char *text, char *ret_shown, size_t size)
{
        snprintf(ret_shown, size, "%s", text);
        for (char *c = ret_shown; *c; c++)
                memset(c, '?', control_at(c));
}

static int no_memory(struct value_why *why)
{
        value_refuse(why, "out of memory");
        return -ENOMEM;
}

/* Decimal digits only: strtoull() alone would take signs, spaces and wrap around. */
static bool digits(const char *text, char **ret_end, uint64_t *ret_number)
{
        if (!isdigit((unsigned char) *text))
                return false;
        errno = 0;
        *ret_number = strtoull(text, ret_end, 10);
        return errno == 0;
}

int value_number(const char *value, uint32_t least, uint32_t most, uint32_t *ret_number, struct value_why *why)
{
        uint64_t number;
        char *end;

        if (!digits(value, &end, &number) || *end || number < least || number > most)
                return value_refuse(why, "must be a number from %u to %u", least, most);
        *ret_number = (uint32_t) number;
        return 0;
}

int value_bytes(const char *value, uint64_t *ret_bytes, struct value_why *why)
{
        static const char suffixes[] = "KMGT";
        const char *suffix;
        uint64_t number;
        unsigned shift = 0;
        char *end;

        if (!digits(value, &end, &number))
                return value_refuse(why, "must be bytes, with a suffix K, M, G, T or none");
        if (*end) {
                suffix = strchr(suffixes, toupper((unsigned char) *end));
                if (!suffix || end[1])
                        return value_refuse(why, "must be bytes, with a suffix K, M, G, T or none");
                shift = 10 * (unsigned) (suffix - suffixes + 1);
        }
        if (number == 0 || number > (uint64_t) INT64_MAX >> shift)
                return value_refuse(why, "must be more than 0 and less than 2^63 bytes");
        *ret_bytes = number << shift;
        return 0;
}

int value_bool(const char *value, bool *ret_bool, struct value_why *why)
{
        static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };

        for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                if (strcasecmp(value, words[i]) == 0) {
                        *ret_bool = i % 2;
                        return 0;
                }
        return value_refuse(why, "must be yes or no");
}

static void join(const char *const *words, unsigned n, char *ret_text, size_t size)
{
        size_t used = 0;

        ret_text[0] = 0;
        for (unsigned i = 0; i < n && used < size; i++)
                used += (size_t) snprintf(ret_text + used, size - used, "%s%s", i ? ", " : "", words[i]);
}

int value_choice(const char *value, const char *const *words, unsigned n, unsigned *ret_index, struct value_why *why)
{
        char known[100];

        for (unsigned i = 0; i < n; i++)
                if (strcasecmp(value, words[i]) == 0) {
                        *ret_index = i;
                        return 0;
                }
        join(words, n, known, sizeof(known));
        return value_refuse(why, "must be one of: %s", known);
}

int value_choices(const char *value, const char *const *words, unsigned n, uint32_t *ret_bits, struct value_why *why)
{
        uint32_t bits = 0;
        char word[32];
        unsigned i;
        int r;

        for (value += strspn(value, SPACES ","); *value; value += strspn(value, SPACES ",")) {
                size_t length = strcspn(value, SPACES ",");

                snprintf(word, sizeof(word), "%.*s", (int) length, value);
                r = value_choice(word, words, n, &i, why);
                if (r < 0)
                        return r;
                bits |= 1u << i;
                value += length;
        }
        *ret_bits = bits;
        return 0;
}

int value_text(const char *value, unsigned most, char *ret_text, struct value_why *why)
{
        size_t length = strlen(value);

        if (length > most)
                return value_refuse(why, "must be at most %u bytes", most);
        for (size_t i = 0; i < length; i++)
                if (value[i] < ' ' || value[i] > '~')
                        return value_refuse(why, "must be printable ASCII");
        memcpy(ret_text, value, length + 1);
        return 0;
}

int value_path(const char *value, bool relative_ok, unsigned most, char **path, struct value_why *why)
{
        char *copy;

        if (value[0] != '/' && !relative_ok)
                return value_refuse(why, "must be an absolute path");
        if (strlen(value) > most)
                return value_refuse(why, "must be at most %u bytes", most);
        copy = strdup(value);
        if (!copy)
                return no_memory(why);
        free(*path);
        *path = copy;
        return 0;
}

/* One CPU or a range of them; moves *text behind it. */
static bool cpu_range(char **text, uint64_t *ret_first, uint64_t *ret_last)
{
        if (!digits(*text, text, ret_first))
                return false;
        *ret_last = *ret_first;
        if (**text == '-' && !digits(*text + 1, text, ret_last))
                return false;
        return *ret_first <= *ret_last && *ret_last < CPU_SETSIZE && (!**text || strchr(SPACES ",", **text));
}

int value_cpus(const char *value, cpu_set_t *ret_cpus, struct value_why *why)
{
        char *text = (char *) value;
        uint64_t first, last;
        cpu_set_t cpus;

        CPU_ZERO(&cpus);
        for (text += strspn(text, SPACES ","); *text; text += strspn(text, SPACES ",")) {
                if (!cpu_range(&text, &first, &last))
                        return value_refuse(why, "must be a list of CPUs, such as 0-3,8");
                for (uint64_t cpu = first; cpu <= last; cpu++)
                        CPU_SET((unsigned) cpu, &cpus);
        }
        if (CPU_COUNT(&cpus) == 0)
                return value_refuse(why, "must be a list of CPUs, such as 0-3,8");
        *ret_cpus = cpus;
        return 0;
}

static bool user_of(const char *name, uint32_t *ret_id)
{
        const struct passwd *user = getpwnam(name);

        if (user)
                *ret_id = user->pw_uid;
        return user;
}

static bool group_of(const char *name, uint32_t *ret_id)
{
        const struct group *group = getgrnam(name);

        if (group)
                *ret_id = group->gr_gid;
        return group;
}

/* The last id is (uid_t) -1, which system calls take for "leave it". */
static bool id_of(const char *name, bool (*lookup)(const char *name, uint32_t *ret_id), uint32_t *ret_id)
{
        struct value_why ignored;

        if (isdigit((unsigned char) name[0]))
                return value_number(name, 0, UINT32_MAX - 1, ret_id, &ignored) == 0;
        return lookup(name, ret_id);
}

static int value_ids(const char *value, const char *kind, bool (*lookup)(const char *name, uint32_t *ret_id),
                     uint32_t **ids, unsigned *n, struct value_why *why)
{
        uint32_t found[CONFIG_ALLOW_MAX], *copy;
        char name[64];
        unsigned count = 0;

        for (value += strspn(value, SPACES); *value; value += strspn(value, SPACES)) {
                int length = (int) strcspn(value, SPACES);

                if (count == CONFIG_ALLOW_MAX)
                        return value_refuse(why, "more than %u names", CONFIG_ALLOW_MAX);
                if (snprintf(name, sizeof(name), "%.*s", length, value) >= (int) sizeof(name) ||
                    !id_of(name, lookup, &found[count]))
                        return value_refuse(why, "there is no %s '%.*s'", kind, length, value);
                count++;
                value += length;
        }
        if (count == 0) /* an empty list would let everybody in */
                return value_refuse(why, "must name a %s", kind);
        copy = malloc(count * sizeof(*copy));
        if (!copy)
                return no_memory(why);
        memcpy(copy, found, count * sizeof(*copy));
        free(*ids);
        *ids = copy;
        *n = count;
        return 0;
}

int value_users(const char *value, uid_t **users, unsigned *n, struct value_why *why)
{
        return value_ids(value, "user", user_of, users, n, why);
}

int value_groups(const char *value, gid_t **groups, unsigned *n, struct value_why *why)
{
        return value_ids(value, "group", group_of, groups, n, why);
}
