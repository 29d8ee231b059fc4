/*
 * The report of inspect, written as it is found.
 */
#include "report.h"

#include "log.h"

#include <stdarg.h>
#include <string.h>

static const char *const words[] = { [REPORT_OK] = "ok", [REPORT_WEAKER] = "weaker", [REPORT_NOTE] = "note",
                                     [REPORT_SHORT] = "SHORT" };

void report_begin(struct report *report, bool as_json, bool quiet)
{
        *report = (struct report){ .as_json = as_json, .quiet = quiet, .json = { .out = stdout } };
        if (as_json) {
                json_object(&report->json, NULL);
                json_array(&report->json, "processes");
        }
}

void report_end(struct report *report)
{
        if (report->as_json) {
                json_end(&report->json);
                json_number(&report->json, "shortfalls", report->shortfalls);
                json_number(&report->json, "weaker", report->weaker);
                json_bool(&report->json, "in_force", report->shortfalls == 0);
                json_end(&report->json);
        } else if (!report->quiet) {
                printf("%u shortfalls, %u weaker by config\n", report->shortfalls, report->weaker);
        }
}

void report_process(struct report *report, const char *device, const char *process, int pid)
{
        report->device = device;
        report->process = process;
        if (report->as_json) {
                json_object(&report->json, NULL);
                json_text(&report->json, "device", device);
                json_text(&report->json, "process", process);
                json_number(&report->json, "pid", (uint64_t) pid);
                json_array(&report->json, "findings");
        } else if (!report->quiet) {
                printf("%s: %s %d\n", device, process, pid);
        }
}

void report_process_end(struct report *report)
{
        if (!report->as_json)
                return;
        json_end(&report->json);
        json_end(&report->json);
}

void report_line(struct report *report, enum verdict verdict, const char *measure, const char *format, ...)
{
        char text[400];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        log_clean(text, strlen(text));
        report->shortfalls += verdict == REPORT_SHORT;
        report->weaker += verdict == REPORT_WEAKER;
        if (report->as_json) {
                json_object(&report->json, NULL);
                json_text(&report->json, "measure", measure);
                json_text(&report->json, "verdict", words[verdict]);
                json_text(&report->json, "evidence", text);
                json_end(&report->json);
        } else if (!report->quiet) {
                printf("  %-6s %-12s %s\n", words[verdict], measure, text);
        } else if (verdict == REPORT_SHORT) {
                printf("%s: %s: %s: %s\n", report->device, report->process, measure, text);
        }
}
