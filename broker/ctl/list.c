/*
 * vhostctl list: a line per device.
 */
#include "ctl.h"

#include "json.h"
#include "names.h"

#include <stdio.h>

/* What is missing, and in parentheses what may be. */
static void weaker(const struct control_device *said, char *ret_text, size_t size)
{
        char lacks[64], may[64];

        names_of_layers(said->lacks, lacks, sizeof(lacks));
        names_of_layers(said->may_lack & ~said->lacks, may, sizeof(may));
        snprintf(ret_text, size, "%s%s%s%s", lacks, may[0] ? "(" : "", may, may[0] ? ")" : "");
}

static void print_line(const struct known_device *device)
{
        const struct control_device *said = &device->said;
        char pids[32] = "-", text[160];

        if (said->pid[CONTROL_SESSION] || said->pid[CONTROL_WORKER])
                snprintf(pids, sizeof(pids), "%d,%d", said->pid[CONTROL_SESSION], said->pid[CONTROL_WORKER]);
        weaker(said, text, sizeof(text));
        printf("%-20s %-6s %-9s %-6s %-15s %-20s %s\n", said->name, said->type ? name_of_type(said->type) : "-",
               name_of_state(said->state), said->engine ? name_of_engine(said->engine) : "-", pids,
               said->vm[0] ? said->vm : "-", text[0] ? text : "-");
}

static void json_layers(struct json *json, const char *key, uint32_t set)
{
        json_array(json, key);
        for (unsigned i = 0; i < LAYERS; i++)
                if (set & 1u << i)
                        json_text(json, NULL, name_of_layer(i));
        json_end(json);
}

static void print_json(struct json *json, const struct known_device *device)
{
        const struct control_device *said = &device->said;

        json_object(json, NULL);
        json_text(json, "name", said->name);
        json_text(json, "type", name_of_type(said->type));
        json_text(json, "state", name_of_state(said->state));
        if (said->engine)
                json_text(json, "engine", name_of_engine(said->engine));
        if (said->vm[0])
                json_text(json, "vm", said->vm);
        if (said->pid[CONTROL_SESSION])
                json_number(json, "session_pid", (uint64_t) said->pid[CONTROL_SESSION]);
        if (said->pid[CONTROL_WORKER])
                json_number(json, "worker_pid", (uint64_t) said->pid[CONTROL_WORKER]);
        json_number(json, "broker_pid", (uint64_t) device->broker->said.pid);
        json_layers(json, "missing", said->lacks);
        json_layers(json, "may_be_missing", said->may_lack);
        json_end(json);
}

enum ctl_exit ctl_list(const struct ctl *ctl, struct brokers *brokers)
{
        struct json json = { .out = stdout };

        if (ctl->json) {
                json_array(&json, NULL);
                for (size_t i = 0; i < brokers->n_devices; i++)
                        print_json(&json, &brokers->device[i]);
                json_end(&json);
                return CTL_OK;
        }
        printf("%-20s %-6s %-9s %-6s %-15s %-20s %s\n", "NAME", "TYPE", "STATE", "ENGINE", "SESSION,WORKER", "VM",
               "WEAKER");
        for (size_t i = 0; i < brokers->n_devices; i++)
                print_line(&brokers->device[i]);
        return CTL_OK;
}
