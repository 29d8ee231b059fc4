/*
 * A load generator for vhost-user block back-ends: random reads and writes through the tests' own front-end and
 * driver, one thread per queue.  Prints requests per second and latencies; --verify checks every byte read.
 */
#include "array.h"
#include "drv_blk.h"
#include "fe_device.h"
#include "fe_time.h"
#include "histogram.h"
#include "log.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct load {
        const char *socket;
        unsigned queues, depth, block, seconds, writes; /* writes: percent */
        uint64_t size;                                  /* bytes used of the disk; 0: all */
        bool poll, verify, direct, packed;
};

struct lane { /* a queue and its thread */
        const struct load *load;
        struct drv_blk blk;
        pthread_t thread;
        uint64_t first, blocks; /* its own part of the disk, in units of load->block */
        uint32_t *generation;   /* verify: per block what was written last; 0: unknown */
        bool *busy;             /* verify: a request on this block is in flight */
        uint64_t random;
        long long end_ns;
        struct histogram latency;
        int result;
};

static uint64_t next_random(struct lane *lane)
{
        lane->random ^= lane->random << 13;
        lane->random ^= lane->random >> 7;
        lane->random ^= lane->random << 17;
        return lane->random;
}

static void fill(uint64_t *to, unsigned bytes, uint64_t block, uint32_t generation)
{
        for (unsigned i = 0; i < bytes / 8; i++)
                to[i] = (block << 32 | generation) * UINT64_C(0x9e3779b97f4a7c15) + i;
}

static bool matches(const uint64_t *data, unsigned bytes, uint64_t block, uint32_t generation)
{
        for (unsigned i = 0; i < bytes / 8; i++)
                if (data[i] != (block << 32 | generation) * UINT64_C(0x9e3779b97f4a7c15) + i)
                        return false;
        return true;
}

static uint64_t pick_block(struct lane *lane)
{
        uint64_t block;

        do
                block = next_random(lane) % lane->blocks;
        while (lane->load->verify && lane->busy[block]);
        return block;
}

static int submit(struct lane *lane, struct drv_blk_req *req)
{
        const struct load *load = lane->load;
        uint64_t block = pick_block(lane);
        bool write = next_random(lane) % 100 < load->writes;

        if (load->verify) {
                lane->busy[block] = true;
                write |= !lane->generation[block];
                if (write)
                        fill((uint64_t *) req->data.at, load->block, block, ++lane->generation[block]);
                else
                        memset(req->data.at, 0xee, load->block);
        }
        return drv_blk_submit(&lane->blk, req, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
                              (lane->first + block) * (load->block / VIRTIO_BLK_SECTOR), load->block);
}

static int finish(struct lane *lane, struct drv_blk_req *req)
{
        const struct load *load = lane->load;
        uint64_t block = req->sector / (load->block / VIRTIO_BLK_SECTOR) - lane->first;

        if (*req->status.at) {
                fprintf(stderr, "blk-load: sector %llu: status %u\n", (unsigned long long) req->sector,
                        *req->status.at);
                return -EIO;
        }
        histogram_add(&lane->latency, req->done_ns - req->sent_ns);
        if (!load->verify)
                return 0;
        lane->busy[block] = false;
        if (matches((uint64_t *) req->data.at, load->block, block, lane->generation[block]))
                return 0;
        fprintf(stderr, "blk-load: sector %llu: wrong data\n", (unsigned long long) req->sector);
        return -EILSEQ;
}

/* Waits for a completion and takes all there are, each replaced by a new request until the time is over. */
static int turn(struct lane *lane)
{
        struct drv_blk_req *req;
        int r = 0, n;

        if (!lane->load->poll)
                r = drv_wait(lane->blk.vring, fe_deadline(FE_TIMEOUT_MS));
        while (!r && (n = drv_blk_reap(&lane->blk, &req))) {
                r = n < 0 ? n : finish(lane, req);
                if (!r && req->done_ns < lane->end_ns)
                        r = submit(lane, req);
        }
        drv_kick(lane->blk.vring);
        return r;
}

static void *drive(void *context)
{
        struct lane *lane = context;
        int r = 0;

        drv_want_calls(lane->blk.vring, !lane->load->poll);
        for (unsigned i = 0; i < lane->load->depth && !r; i++)
                r = submit(lane, drv_blk_slot(&lane->blk));
        drv_kick(lane->blk.vring);
        while (!r && lane->blk.vring->in_flight)
                r = turn(lane);
        lane->result = r;
        return NULL;
}

static int open_lane(struct lane *lane, const struct load *load, struct fe_device *device, unsigned index,
                     uint64_t size)
{
        *lane = (struct lane){ .load = load, .random = 0x2545f4914f6cdd1d + index * 7919 };
        lane->blocks = size / load->block / load->queues;
        lane->first = lane->blocks * index;
        if (lane->blocks <= load->depth)
                return -ENOSPC;
        if (load->verify) {
                lane->generation = calloc(lane->blocks, sizeof(*lane->generation));
                lane->busy = calloc(lane->blocks, sizeof(*lane->busy));
                if (!lane->generation || !lane->busy)
                        return -ENOMEM;
        }
        return drv_blk_init(&lane->blk, device->vring[index], 0, load->depth, load->block);
}

static void close_lane(struct lane *lane)
{
        drv_blk_done(&lane->blk);
        free(lane->generation);
        free(lane->busy);
}

static void print(const struct load *load, const struct histogram *h, double seconds)
{
        printf("%.0f IOPS, latency us: mean %.1f p50 %.1f p99 %.1f p99.9 %.1f (%u queues, depth %u, %u bytes, %u %% "
               "writes, "
               "%s%s)\n",
               h->n / seconds, h->n ? (double) h->sum / h->n / 1e3 : 0, histogram_at(h, .5) / 1e3,
               histogram_at(h, .99) / 1e3, histogram_at(h, .999) / 1e3, load->queues, load->depth, load->block,
               load->writes, load->poll ? "polling" : "call eventfd", load->verify ? ", verified" : "");
}

static int run_lanes(const struct load *load, struct lane *lanes)
{
        struct histogram *all = calloc(1, sizeof(*all));
        long long from = fe_now_ns();
        int r = all ? 0 : -ENOMEM;

        for (unsigned i = 0; i < load->queues && all; i++) {
                lanes[i].end_ns = from + load->seconds * 1000000000LL;
                pthread_create(&lanes[i].thread, NULL, drive, &lanes[i]);
        }
        for (unsigned i = 0; i < load->queues && all; i++) {
                pthread_join(lanes[i].thread, NULL);
                histogram_merge(all, &lanes[i].latency);
                r = r ? r : lanes[i].result;
        }
        if (!r)
                print(load, all, (fe_now_ns() - from) / 1e9);
        free(all);
        return r;
}

static int disk_size(struct fe_device *device, uint64_t *size)
{
        le64 capacity = 0;
        int r = *size ? 0 : fe_get_config(&device->conn, 0, &capacity, sizeof(capacity));

        if (!r && !*size)
                *size = le64toh(capacity) * VIRTIO_BLK_SECTOR;
        return r;
}

static int run(const struct load *load)
{
        struct fe_options options = { .queues = load->queues, .mem_bytes = 8 << 20, .queue_size = 128 };
        struct lane *lanes = calloc(load->queues, sizeof(*lanes));
        uint64_t size = load->size;
        struct fe_device device;
        unsigned n = 0;
        int r;

        options.packed = load->packed;
        options.mem_bytes += (uint64_t) load->queues * load->depth * (load->block + 8192);
        r = lanes ? fe_device_start(load->socket, &options, &device) : -ENOMEM;
        if (r) {
                free(lanes);
                return r;
        }
        r = disk_size(&device, &size);
        for (; n < load->queues && !r; n++) {
                r = open_lane(&lanes[n], load, &device, n, size);
                if (!load->direct && device.features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC))
                        lanes[n].blk.how = DRV_INDIRECT;
        }
        if (!r)
                r = run_lanes(load, lanes);
        for (unsigned i = 0; i < n; i++)
                close_lane(&lanes[i]);
        free(lanes);
        if (r) {
                fe_device_drop(&device);
                return r;
        }
        return fe_device_stop(&device);
}

static const char usage[] =
        "blk-load --socket=PATH [--queues=1] [--depth=32] [--block=4096] [--seconds=5] [--writes=PERCENT] "
        "[--size=BYTES]\n"
        "         [--poll] [--direct] [--packed] [--verify]\n"
        "Random requests to a vhost-user block device. --poll: look for completions without sleeping; --direct: no\n"
        "indirect descriptors; --packed: packed rings; --verify: overwrites the disk and checks all that is read.\n";

static int parse(int argc, char **argv, struct load *load)
{
        static const struct option options[] = {
                {"socket",   required_argument, NULL, 's'},
                { "queues",  required_argument, NULL, 'q'},
                { "depth",   required_argument, NULL, 'd'},
                { "block",   required_argument, NULL, 'b'},
                { "seconds", required_argument, NULL, 't'},
                { "writes",  required_argument, NULL, 'w'},
                { "size",    required_argument, NULL, 'z'},
                { "poll",    no_argument,       NULL, 'p'},
                { "direct",  no_argument,       NULL, 'i'},
                { "packed",  no_argument,       NULL, 'k'},
                { "verify",  no_argument,       NULL, 'v'},
                { NULL,      0,                 NULL, 0  },
        };
        unsigned *const numbers[] = { ['q'] = &load->queues,
                                      ['d'] = &load->depth,
                                      ['b'] = &load->block,
                                      ['t'] = &load->seconds,
                                      ['w'] = &load->writes };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (c == 's')
                        load->socket = optarg;
                else if (c == 'z')
                        load->size = strtoull(optarg, NULL, 0);
                else if (c == 'p')
                        load->poll = true;
                else if (c == 'i')
                        load->direct = true;
                else if (c == 'k')
                        load->packed = true;
                else if (c == 'v')
                        load->verify = true;
                else if (c < (int) ARRAY_SIZE(numbers) && numbers[c])
                        *numbers[c] = (unsigned) strtoul(optarg, NULL, 0);
                else
                        return -EINVAL;
        }
        return load->socket && load->queues && load->queues <= FE_VRINGS_MAX && load->depth && load->depth <= 42 &&
                               load->block && load->block % VIRTIO_BLK_SECTOR == 0
                       ? 0
                       : -EINVAL;
}

int main(int argc, char **argv)
{
        struct load load = { .queues = 1, .depth = 32, .block = 4096, .seconds = 5 };
        int r;

        if (parse(argc, argv, &load)) {
                fputs(usage, stderr);
                return 2;
        }
        if (load.verify && !load.writes)
                load.writes = 50;
        r = run(&load);
        if (r)
                fprintf(stderr, "blk-load: %s: %s\n", load.socket, log_errno(r));
        return r ? 1 : 0;
}
