/*
 * vhostctl stats: what the workers of devices have counted.
 */
#include "ctl.h"

#include "array.h"
#include "log.h"
#include "names.h"
#include "showing.h"
#include "stats_sum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const requests[STATS_KINDS] = { "reads", "writes", "flushes", "discards", "write_zeroes", "others" };
static const char *const bytes[STATS_KINDS] = { [STATS_READ] = "read_bytes",
                                                [STATS_WRITE] = "write_bytes",
                                                [STATS_DISCARD] = "discard_bytes",
                                                [STATS_WRITE_ZEROES] = "write_zeroes_bytes" };
static const char *const timed[STATS_TIMED] = { "read", "write" };
static const struct {
        const char *text, *json;
        unsigned per_mille;
} quantiles[] = { { "p50", "p50", 500 }, { "p99", "p99", 990 }, { "p99.9", "p99_9", 999 } };

/* All loops together. What was in flight in a worker that is gone is not. */
static int read_stats(struct brokers *brokers, const struct known_device *device, struct stats_page *ret_sum)
{
        struct stats_page page;
        int r = 0;

        *ret_sum = (struct stats_page){ 0 };
        for (uint32_t i = 0; r == 0 && i < device->said.threads; i++) {
                r = brokers_stats(brokers, device, i, &page);
                if (r == 0)
                        stats_sum(ret_sum, &page);
        }
        if (!device->said.pid[CONTROL_WORKER])
                ret_sum->in_flight = 0;
        return r;
}

/* Microseconds, or "-". */
static void time_text(uint64_t ns, char *ret_text, size_t size)
{
        if (ns == 0)
                snprintf(ret_text, size, "-");
        else if (ns == UINT64_MAX)
                snprintf(ret_text, size, ">%" PRIu64, (UINT64_C(1) << STATS_MOST_BITS) / 1000);
        else
                snprintf(ret_text, size, "%" PRIu64 ".%" PRIu64, ns / 1000, ns % 1000 / 100);
}

static void show_latency(struct showing *to, const char *name, const uint64_t *latency)
{
        char text[24], key[24];

        for (unsigned i = 0; i < ARRAY_SIZE(quantiles); i++) {
                time_text(stats_quantile(latency, quantiles[i].per_mille), text, sizeof(text));
                snprintf(key, sizeof(key), "%s_us_%s", name, quantiles[i].text);
                show_text(to, key, text);
        }
}

static void json_latency(struct json *json, const char *name, const uint64_t *latency)
{
        char key[32];

        snprintf(key, sizeof(key), "%s_latency_ns", name);
        json_object(json, key);
        json_number(json, "count", stats_count(latency));
        for (unsigned i = 0; i < ARRAY_SIZE(quantiles); i++)
                json_number(json, quantiles[i].json, stats_quantile(latency, quantiles[i].per_mille));
        json_array(json, "buckets");
        for (unsigned i = 0; i < STATS_BUCKETS; i++) {
                if (!latency[i])
                        continue;
                json_object(json, NULL);
                json_number(json, "below", stats_bucket_end(i));
                json_number(json, "count", latency[i]);
                json_end(json);
        }
        json_end(json);
        json_end(json);
}

static void show_stats(struct showing *to, const struct known_device *device, const struct stats_page *sum)
{
        show_text(to, "name", device->said.name);
        show_text(to, "state", name_of_state(device->said.state));
        for (unsigned i = 0; i < STATS_KINDS; i++) {
                show_number(to, requests[i], sum->requests[i]);
                if (bytes[i])
                        show_number(to, bytes[i], sum->bytes[i]);
        }
        show_number(to, "io_errors", sum->errors[STATS_IOERR]);
        show_number(to, "unsupported", sum->errors[STATS_UNSUPP]);
        show_number(to, "in_flight", sum->in_flight);
        show_number(to, "kicks", sum->kicks);
        show_number(to, "calls", sum->calls);
        show_number(to, "broken_vrings", sum->broken);
        for (unsigned i = 0; i < STATS_TIMED; i++) {
                if (to->as_json)
                        json_latency(&to->json, timed[i], sum->latency[i]);
                else
                        show_latency(to, timed[i], sum->latency[i]);
        }
}

static void print_head(void)
{
        printf("%-20s %-9s %12s %16s %12s %16s %10s %8s %9s %10s %10s\n", "NAME", "STATE", "READS", "READ-BYTES", "WRITES",
               "WRITE-BYTES", "OTHERS", "ERRORS", "IN-FLIGHT", "READ-P99", "WRITE-P99");
}

static void print_line(const struct known_device *device, const struct stats_page *sum)
{
        uint64_t others = 0;
        char read[32], write[32];

        for (unsigned i = STATS_FLUSH; i < STATS_KINDS; i++)
                others = stats_add(others, sum->requests[i]);
        time_text(stats_quantile(sum->latency[STATS_READ], 990), read, sizeof(read));
        time_text(stats_quantile(sum->latency[STATS_WRITE], 990), write, sizeof(write));
        printf("%-20s %-9s %12" PRIu64 " %16" PRIu64 " %12" PRIu64 " %16" PRIu64 " %10" PRIu64 " %8" PRIu64 " %9" PRIu64
               " %10s %10s\n", device->said.name, name_of_state(device->said.state), sum->requests[STATS_READ],
               sum->bytes[STATS_READ], sum->requests[STATS_WRITE], sum->bytes[STATS_WRITE], others,
               stats_add(sum->errors[STATS_IOERR], sum->errors[STATS_UNSUPP]), sum->in_flight, read, write);
}

static int one_device(struct showing *to, const struct ctl *ctl, struct brokers *brokers,
                      const struct known_device *device)
{
        struct stats_page sum;
        int r = read_stats(brokers, device, &sum);

        if (r < 0)
                return r;
        if (!ctl->json && !ctl->device) {
                print_line(device, &sum);
                return 0;
        }
        if (ctl->json)
                json_object(&to->json, NULL);
        show_stats(to, device, &sum);
        if (ctl->json)
                json_end(&to->json);
        return 0;
}

/* A device that is down has counted nothing. */
static bool is_meant(const struct ctl *ctl, const struct known_device *device)
{
        return device->said.state != CONTROL_DOWN && (!ctl->device || strcmp(ctl->device, device->said.name) == 0);
}

enum ctl_exit ctl_stats(const struct ctl *ctl, struct brokers *brokers)
{
        struct showing to = { .as_json = ctl->json, .json = { .out = stdout } };
        int r = 0;

        if (ctl->json)
                json_array(&to.json, NULL);
        else if (!ctl->device)
                print_head();
        for (size_t i = 0; i < brokers->n_devices; i++) {
                if (!is_meant(ctl, &brokers->device[i]))
                        continue;
                r = one_device(&to, ctl, brokers, &brokers->device[i]);
                if (r < 0) {
                        fprintf(stderr, "vhostctl: %s: %s\n", brokers->device[i].said.name, log_errno(r));
                        break;
                }
        }
        if (ctl->json)
                json_end(&to.json);
        return r < 0 ? CTL_FAILED : CTL_OK;
}
