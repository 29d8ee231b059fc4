/*
 * Device files, parsed by libinih. The reader under it counts the lines, and finds what inih would pass over: lines too
 * long for it, sections without keys, lines that are neither section nor key. Leading white space is taken away, so
 * that inih sees no continuation lines.
 */
#include "config_ini.h"

#include "config_keys.h"
#include "config_value.h"
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INI_SPACE " \t\v\f\r\n" /* what inih passes over at both ends of a line */

enum { LINE_BYTES = 4400 }; /* a path of the most that the kernel takes, and a key */

/* Builds of inih differ: where this is a variable (Debian), lines may be longer than 196 bytes. */
extern __attribute__((weak)) int ini_max_line;

enum section_state { SECTION_NONE, SECTION_OK, SECTION_UNKNOWN };

struct ini {
        const char *path;
        struct device_config *config;
        const struct log *log;
        FILE *file;
        char *text; /* the current line, of getline() */
        size_t size;
        unsigned line;
        enum section_state section;
        bool key_expected; /* the line is neither empty nor section nor comment, and inih has not found a key yet */
        unsigned errors;
};

static void complain(struct ini *ini, const char *why)
{
        log_error(ini->log, "%s:%u: %s", ini->path, ini->line, why);
        ini->errors++;
}

static void begin_section(struct ini *ini, char *text)
{
        char *end = strchr(text, ']');

        ini->section = SECTION_UNKNOWN;
        if (!end || !strchr(";#", end[1 + strspn(end + 1, INI_SPACE)])) {
                complain(ini, "a section is a line of its own: [NAME]");
                return;
        }
        *end = 0;
        if (config_section_ok(text + 1))
                ini->section = SECTION_OK;
        else
                complain(ini, "there is no such section");
        *end = ']';
}

/* What inih gets to see of a line: "" if it is unfit. */
static const char *judge_line(struct ini *ini, size_t length, size_t room)
{
        char *text = ini->text;

        if (strlen(text) != length) {
                complain(ini, "contains a NUL byte");
                return "";
        }
        if (length >= room) {
                complain(ini, "the line is too long");
                return "";
        }
        if (ini->line == 1 && strncmp(text, "\xEF\xBB\xBF", 3) == 0)
                text += 3;
        text += strspn(text, INI_SPACE);
        if (text[0] == '[')
                begin_section(ini, text);
        ini->key_expected = !strchr("[;#", text[0]);
        return text;
}

static void end_line(struct ini *ini)
{
        if (ini->key_expected)
                complain(ini, "neither [SECTION] nor KEY=VALUE");
        ini->key_expected = false;
}

/* ini_reader, in the manner of fgets(). */
static char *read_line(char *line, int room, void *context)
{
        struct ini *ini = context;
        ssize_t length;

        end_line(ini);
        length = getline(&ini->text, &ini->size, ini->file);
        if (length < 0)
                return NULL;
        ini->line++;
        return strcpy(line, judge_line(ini, (size_t) length, (size_t) room));
}

/* ini_handler; what it thinks of errors does not interest inih. */
static int take_key(void *context, const char *section, const char *key, const char *value)
{
        struct ini *ini = context;
        struct config_place place = { ini->path, ini->line };

        ini->key_expected = false;
        if (ini->section == SECTION_NONE)
                complain(ini, "a key before the first [SECTION]");
        if (ini->section == SECTION_OK && config_set(ini->config, &place, section, key, value, ini->log) < 0)
                ini->errors++;
        return 1;
}

/* A fifo or a device in the directory must not be read. */
static int open_regular(const char *path, FILE **ret_file)
{
        AUTO_FD fd = { open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) };
        struct stat st;

        if (fd.num < 0 || fstat(fd.num, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        *ret_file = fdopen(fd.num, "r");
        if (!*ret_file)
                return -errno;
        fd_take(&fd);
        return 0;
}

static void parse(struct ini *ini)
{
        int r;

        if (&ini_max_line)
                ini_max_line = LINE_BYTES;
        r = ini_parse_stream(read_line, ini, take_key, ini);
        if (ferror(ini->file)) {
                ini->line++;
                complain(ini, log_errno(errno));
        } else if (r != 0 && ini->errors == 0) {
                ini->line = r > 0 ? (unsigned) r : 1;
                complain(ini, "not understood");
        }
}

int config_ini_read(const char *path, struct device_config *config, const struct log *log)
{
        char shown[4096]; /* what open(2) takes at most */
        struct ini ini = { .path = shown, .config = config, .log = log };
        int r = open_regular(path, &ini.file);

        value_shown(path, shown, sizeof(shown));
        if (r < 0) {
                log_error(log, "%s:1: %s", shown, r == -EINVAL ? "not a regular file" : log_errno(r));
                return r;
        }
        config->layer++;
        parse(&ini);
        fclose(ini.file);
        free(ini.text);
        return ini.errors ? -EINVAL : 0;
}
