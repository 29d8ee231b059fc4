/*
 * The part of show that nobody vouches for: words that the worker has written, which may have been taken over. Any
 * number may stand in each.
 */
#include "claims.h"

#include "names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct claims {
        uint64_t features, regions, memory, modes;
        uint64_t vring[STATS_VRINGS];
        uint32_t vrings;
};

static const struct {
        uint64_t bit;
        const char *name;
} vring_flags[] = {
        { STATS_STARTED, "started" }, { STATS_ENABLED, "enabled" },       { STATS_BROKEN, "broken" },
        { STATS_LOGGED, "logged" },   { STATS_WAITS, "waits_for_iotlb" }, { STATS_DRAINS, "drains" },
};
enum { VRING_FLAGS = sizeof(vring_flags) / sizeof(vring_flags[0]) };

/* Of the broker's numbers no more is believed than a device can have. */
static int read_claims(struct brokers *brokers, const struct known_device *device, struct claims *ret)
{
        const uint64_t loops = device->said.threads;
        struct stats_page page;

        *ret = (struct claims){ .vrings = device->said.queues < STATS_VRINGS ? device->said.queues : STATS_VRINGS };
        for (uint32_t loop = 0; loop < loops && loop < ret->vrings; loop++) {
                int r = brokers_stats(brokers, device, loop, &page);

                if (r < 0)
                        return r;
                if (loop == 0) {
                        ret->features = page.features;
                        ret->regions = page.regions;
                        ret->memory = page.memory;
                        ret->modes = page.modes;
                }
                for (uint64_t i = loop; i < ret->vrings; i += loops)
                        ret->vring[i] = page.vring[i / loops];
        }
        return 0;
}

/* By name; bits that have none as a number. */
static void show_features(struct showing *to, uint32_t type, uint64_t features)
{
        uint64_t unknown = 0;

        show_bits(to, "acked_features", features);
        if (to->as_json)
                json_array(&to->json, "acked");
        else
                printf("%-22s", "acked");
        for (unsigned bit = 0; bit < 64; bit++) {
                const char *name = features >> bit & 1 ? name_of_feature(type, bit) : NULL;

                if (name && to->as_json)
                        json_text(&to->json, NULL, name);
                else if (name)
                        printf(" %s", name);
                else
                        unknown |= features & UINT64_C(1) << bit;
        }
        if (to->as_json)
                json_end(&to->json);
        else
                putchar('\n');
        if (unknown)
                show_bits(to, "acked_unknown", unknown);
}

static uint64_t unknown_of(uint64_t claim)
{
        uint64_t known = STATS_SIZE | STATS_PACKED | UINT64_MAX << STATS_BUSY;

        for (unsigned i = 0; i < VRING_FLAGS; i++)
                known |= vring_flags[i].bit;
        return claim & ~known;
}

static void json_vring(struct json *json, uint32_t index, uint64_t claim)
{
        char unknown[20];

        json_object(json, NULL);
        json_number(json, "index", index);
        json_text(json, "format", claim & STATS_PACKED ? "packed" : "split");
        json_number(json, "size", claim & STATS_SIZE);
        for (unsigned i = 0; i < VRING_FLAGS; i++)
                json_bool(json, vring_flags[i].name, claim & vring_flags[i].bit);
        json_number(json, "in_flight", claim >> STATS_BUSY);
        snprintf(unknown, sizeof(unknown), "0x%" PRIx64, unknown_of(claim));
        if (unknown_of(claim))
                json_text(json, "unknown", unknown);
        json_end(json);
}

/* "packed 256, started, enabled, 3 in flight" */
static void print_vring(uint32_t index, uint64_t claim)
{
        char key[32];

        snprintf(key, sizeof(key), "vring_%" PRIu32, index);
        printf("%-22s %s %u", key, claim & STATS_PACKED ? "packed" : "split", (unsigned) (claim & STATS_SIZE));
        for (unsigned i = 0; i < VRING_FLAGS; i++)
                if (claim & vring_flags[i].bit)
                        printf(", %s", vring_flags[i].name);
        if (unknown_of(claim))
                printf(", unknown 0x%" PRIx64, unknown_of(claim));
        printf(", %" PRIu64 " in flight\n", claim >> STATS_BUSY);
}

/* Those that are neither started nor broken have no format and no size. */
static void show_vrings(struct showing *to, const struct claims *claims)
{
        if (to->as_json)
                json_array(&to->json, "vrings");
        for (uint32_t i = 0; i < claims->vrings; i++) {
                uint64_t claim = claims->vring[i];

                if ((claim & ~(uint64_t) STATS_ENABLED) == 0)
                        continue;
                if (to->as_json)
                        json_vring(&to->json, i, claim);
                else
                        print_vring(i, claim);
        }
        if (to->as_json)
                json_end(&to->json);
}

/* The numbers of connections never come again: this one was there all the time. */
static bool still_served(struct brokers *brokers, const struct known_device *device)
{
        struct known_device now = *device;

        return brokers_refresh(brokers, &now) == 0 && now.said.state == CONTROL_SERVING &&
               now.said.session == device->said.session;
}

int show_claims(struct showing *to, struct brokers *brokers, const struct known_device *device)
{
        struct claims claims;
        int r;

        if (device->said.state != CONTROL_SERVING)
                return 0;
        r = read_claims(brokers, device, &claims);
        if (r < 0 || !still_served(brokers, device))
                return r;
        if (to->as_json)
                json_object(&to->json, "claims");
        else
                printf("\nClaims of the worker, which nobody has checked (one that was taken over may say "
                       "anything):\n");
        show_features(to, device->said.type, claims.features);
        show_number(to, "guest_regions", claims.regions);
        show_number(to, "guest_memory", claims.memory);
        show_bool(to, "iommu_in_use", claims.modes & STATS_IOMMU);
        show_bool(to, "dirty_log", claims.modes & STATS_LOG_ALL);
        show_vrings(to, &claims);
        if (to->as_json)
                json_end(&to->json);
        return 0;
}
