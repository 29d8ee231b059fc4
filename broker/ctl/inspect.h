/*
 * inspect: who is looked at, and the questions asked of each.
 */
#pragma once

#include "brokers.h"
#include "policy.h"
#include "process.h"
#include "report.h"

/* A process of ours. */
struct subject {
        struct process process;
        const struct known_device *device; /* NULL: a broker */
        unsigned child;                    /* CONTROL_SESSION, CONTROL_WORKER */
        const struct policy_process *policy; /* NULL: a broker */
        struct broker *broker;
        bool program_proven, filters_proven; /* found on the way, for what follows from them */
};

/* All processes of all brokers, so that they can be compared. */
struct inspection {
        struct brokers *brokers;
        struct subject *subject;
        size_t n;
        struct process own, first; /* this one, and the host's first if it shows itself */
        struct report report;
        bool no_stop;
};

/* Each adds its findings about one session or worker. */
void judge_program(struct inspection *in, struct subject *s);
void judge_ids(struct inspection *in, const struct subject *s);
void judge_powers(struct inspection *in, const struct subject *s);
void judge_filters(struct inspection *in, struct subject *s);
void judge_invisible(struct inspection *in, const struct subject *s);
void judge_namespaces(struct inspection *in, const struct subject *s);
void judge_root(struct inspection *in, const struct subject *s);
void judge_limits(struct inspection *in, const struct subject *s);
void judge_descriptors(struct inspection *in, const struct subject *s);
void judge_memory(struct inspection *in, const struct subject *s);
void judge_statistics(struct inspection *in, const struct subject *s);

/* Is that, as the kernel names it, a file of a device's statistics? */
bool is_statistics(const char *target);

/* Of a broker; of any process of ours. */
void judge_broker(struct inspection *in, struct subject *s);
void judge_cgroup(struct inspection *in, const struct subject *s);

/* Vrings that a device of its type may have. */
uint32_t queues_max_of(const struct subject *s);

/* A namespace of the host, or of whoever asks? `ns` as in struct process. */
bool is_of_the_host(const struct inspection *in, const struct subject *s, unsigned ns);

/* The other process of its device, or NULL; its broker. */
const struct subject *partner_of(const struct inspection *in, const struct subject *s);
const struct subject *broker_of(const struct inspection *in, const struct subject *s);

/* A measure that a layer makes: SHORT, or WEAKER if the device's config lets that layer be missing. */
enum verdict lacking(const struct subject *s, uint32_t layer);
