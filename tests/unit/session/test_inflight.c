/*
 * The in-flight area: what is given out, what is taken, and our own.
 */
#include "rig.h"

#include "array.h"
#include "virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(gives_out_a_sealed_area)
{
        static const uint32_t sizes[] = { 20, 24 };
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
                struct vu_inflight area = { .size = 1, .offset = 2, .queues = 4, .queue_size = 128 };
                struct stat file;
                char *bytes;
                int fd;

                rig_send(&rig, VU_GET_INFLIGHT_FD, VU_VERSION, &area, sizes[i], NULL, 0);
                ck_assert_int_eq(rig_reply(&rig, VU_GET_INFLIGHT_FD, &area, sizeof(area), &fd), (int) sizes[i]);
                ck_assert_uint_eq(area.size, 4 * 2112);
                ck_assert_uint_eq(area.offset, 0);
                ck_assert(area.queues == 4 && area.queue_size == 128);
                ck_assert_int_eq(fstat(fd, &file), 0);
                ck_assert_uint_eq((uint64_t) file.st_size, area.size);
                ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & 7, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
                ck_assert_int_eq(ftruncate(fd, 1), -1);
                bytes = mmap(NULL, area.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                ck_assert_ptr_ne(bytes, MAP_FAILED);
                for (uint64_t j = 0; j < area.size; j++)
                        ck_assert_int_eq(bytes[j], 0);
                munmap(bytes, area.size);
                close(fd);
        }
        ck_assert_uint_eq(rig.n_seen, 1); /* the worker hears of it when it is set */
        rig_done(&rig);
}
END_TEST

START_TEST(judges_what_is_asked_for)
{
        static const struct vu_inflight bad[] = {
                { .queues = 0, .queue_size = 128 },    { .queues = 5, .queue_size = 128 },
                { .queues = 4, .queue_size = 0 },      { .queues = 4, .queue_size = 1025 },
                { .queues = 0xffff, .queue_size = 1 }, { .queues = 1, .queue_size = 0xffff },
        };
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                struct vu_inflight area = bad[i];

                rig_send(&rig, VU_GET_INFLIGHT_FD, VU_VERSION, &area, sizeof(area), NULL, 0);
                memset(&area, 0xff, sizeof(area));
                ck_assert_int_eq(rig_reply(&rig, VU_GET_INFLIGHT_FD, &area, sizeof(area), NULL), sizeof(area));
                ck_assert_uint_eq(area.size, 0);
        }
        ck_assert(!rig.s->over);
        rig_done(&rig);
}
END_TEST

static uint64_t ask_set(struct rig *rig, struct vu_inflight area, uint64_t file, unsigned n_fds)
{
        int fd = rig_file(file);
        uint64_t result = rig_ask(rig, VU_SET_INFLIGHT_FD, &area, sizeof(area), &fd, n_fds);

        close(fd);
        return result;
}

START_TEST(takes_an_area_that_fits)
{
        const struct vu_inflight good = { .size = 2 * 2112, .offset = 4096, .queues = 2, .queue_size = 128 };
        const struct ipc_inflight *seen;
        struct vu_inflight area;
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_forget(&rig);
        ck_assert_uint_eq(ask_set(&rig, good, 16384, 0), 1);
        ck_assert_uint_eq(ask_set(&rig, good, 4096 + 2 * 2112 - 1, 1), 1); /* the file ends early */
        area = good;
        area.size--; /* less than the layout wants */
        ck_assert_uint_eq(ask_set(&rig, area, 16384, 1), 1);
        area = good;
        area.queues = 5;
        ck_assert_uint_eq(ask_set(&rig, area, 65536, 1), 1);
        area = good;
        area.queue_size = 2048;
        area.size = 1 << 20;
        ck_assert_uint_eq(ask_set(&rig, area, 2 << 20, 1), 1);
        area = good;
        area.offset = UINT64_MAX - 16;
        ck_assert_uint_eq(ask_set(&rig, area, 16384, 1), 1);
        area.offset = INT64_MAX;
        ck_assert_uint_eq(ask_set(&rig, area, 16384, 1), 1);
        ck_assert_uint_eq(rig.n_seen, 0);
        ck_assert(!fd_has(&rig.s->ledger.inflight.fd));

        ck_assert_uint_eq(ask_set(&rig, good, 4096 + 2 * 2112, 1), 0);
        seen = rig_got(&rig, IPC_INFLIGHT);
        ck_assert(seen->size == good.size && seen->offset == 4096 && seen->queues == 2 && seen->queue_size == 128);
        rig.refuse = -ENOMEM;
        ck_assert_uint_eq(ask_set(&rig, (struct vu_inflight){ .size = 2112, .queues = 1, .queue_size = 128 }, 4096, 1),
                          1);
        ck_assert_uint_eq(rig.s->ledger.inflight.queues, 2);
        rig_done(&rig);
}
END_TEST

static uint64_t ask_start(struct rig *rig, uint32_t index, uint32_t size)
{
        struct vu_vring_addr addr = rig_addr(index);
        uint64_t word = index, result;
        int fd = rig_file(0);

        rig_tell_state(rig, VU_SET_VRING_NUM, index, size);
        rig_tell(rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        result = rig_ask(rig, VU_SET_VRING_KICK, &word, sizeof(word), &fd, 1);
        close(fd);
        return result;
}

START_TEST(starts_no_vring_that_the_area_lacks)
{
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_memory(&rig);
        ck_assert_uint_eq(ask_set(&rig, (struct vu_inflight){ .size = 2 * 2112, .queues = 2, .queue_size = 128 }, 8192,
                                  1), 0);
        ck_assert_uint_eq(ask_start(&rig, 2, 128), 1);
        ck_assert_uint_eq(ask_start(&rig, 1, 256), 1);
        ck_assert_uint_eq(ask_start(&rig, 1, 128), 0);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->resume, 1);
        rig_done(&rig);
}
END_TEST

/* One that is large enough for split rings need not be so for packed ones. */
START_TEST(starts_no_packed_vring_in_an_area_for_split_ones)
{
        const uint64_t packed = VERSION_1 | BIT30 | VIRTIO_BIT(VIRTIO_F_RING_PACKED);
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_memory(&rig);
        ck_assert_uint_eq(ask_set(&rig, (struct vu_inflight){ .size = 2 * 2112, .queues = 2, .queue_size = 128 }, 8192,
                                  1), 0);
        rig_tell_u64(&rig, VU_SET_FEATURES, packed);
        ck_assert_uint_eq(ask_start(&rig, 1, 128), 1);
        ck_assert_uint_eq(ask_set(&rig, (struct vu_inflight){ .size = 2 * 2112, .queues = 2, .queue_size = 128 }, 8192,
                                  1), 1);
        ck_assert_uint_eq(ask_set(&rig, (struct vu_inflight){ .size = 2 * 4160, .queues = 2, .queue_size = 128 },
                                  16384, 1), 0);
        ck_assert_uint_eq(ask_start(&rig, 1, 128), 0);
        rig_done(&rig);
}
END_TEST

static uint32_t resume_of_start(struct rig *rig)
{
        ck_assert_uint_eq(ask_start(rig, 0, 128), 0);
        return ((const struct ipc_vring_start *) rig_got(rig, IPC_VRING_START))->resume;
}

START_TEST(resumes_only_what_was_not_drained)
{
        const struct vu_inflight area = { .size = 2112, .queues = 1, .queue_size = 128 };
        struct vu_vring_state state = { .index = 0 };
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_memory(&rig);
        for (unsigned i = 0; i < 2; i++) {
                ck_assert_uint_eq(ask_set(&rig, area, 4096, 1), 0);
                ck_assert_uint_eq(resume_of_start(&rig), 1);
                rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
                ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), 8);
                ck_assert_uint_eq(resume_of_start(&rig), 0);
                rig_tell(&rig, VU_RESET_DEVICE, NULL, 0, NULL, 0);
                rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1 | BIT30);
                ck_assert_uint_eq(resume_of_start(&rig), 0);
                rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
                ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), 8);
        }
        rig_done(&rig);
}
END_TEST

/* What was left belongs to the base that was told with it: a guest that boots again begins elsewhere. */
START_TEST(takes_up_what_was_left_at_its_base_only)
{
        struct vu_vring_state state = { .index = 0 };
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_memory(&rig);
        for (uint32_t again = 0; again < 2; again++) {
                ck_assert_uint_eq(ask_start(&rig, 0, 128), 0);
                rig.value = IPC_STOP_LEFT | 7;
                rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
                ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), 8);
                ck_assert_uint_eq(state.num, 7);
                rig.value = 0;
                rig_tell_state(&rig, VU_SET_VRING_BASE, 0, again ? 0 : 7);
                rig_forget(&rig);
                ck_assert_uint_eq(resume_of_start(&rig), !again);
                ck_assert_uint_eq(rig_count(&rig, IPC_VRING_FORGET), again);
                rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
                ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), 8);
        }
        rig_done(&rig);
}
END_TEST

START_TEST(makes_its_own_once)
{
        struct rig rig;

        rig_init(&rig);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, 1 << VU_PF_REPLY_ACK); /* no INFLIGHT_SHMFD */
        rig_tell_u64(&rig, VU_SET_FEATURES, VERSION_1);
        rig_memory(&rig);
        rig_forget(&rig);
        ck_assert_uint_eq(ask_start(&rig, 0, 128), 0);
        ck_assert_uint_eq(ask_start(&rig, 3, RIG_QUEUE_SIZE), 0);
        ck_assert_uint_eq(rig.n_seen, 3);
        ck_assert_uint_eq(rig.seen[0].header.type, IPC_INFLIGHT);
        ck_assert_uint_eq(rig.seen[0].n_fds, 1);
        ck_assert_uint_eq(((const struct ipc_inflight *) rig.seen[0].body)->queues, RIG_QUEUES);
        ck_assert_uint_eq(((const struct ipc_inflight *) rig.seen[0].body)->queue_size, RIG_QUEUE_SIZE);
        ck_assert_uint_eq(((const struct ipc_inflight *) rig.seen[0].body)->size,
                          RIG_QUEUES * vu_inflight_bytes(RIG_QUEUE_SIZE, true));
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig.seen[1].body)->resume, 0);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig.seen[2].body)->resume, 0);
        ck_assert(rig.s->ledger.inflight.own);
        rig_done(&rig);
}
END_TEST

START_TEST(gives_way_to_the_front_ends)
{
        struct vu_vring_state state = { .index = 0 };
        struct rig rig;

        rig_init(&rig);
        rig_negotiate(&rig, RIG_PROTOCOL);
        rig_memory(&rig);
        ck_assert_uint_eq(ask_start(&rig, 0, 128), 0);
        ck_assert(rig.s->ledger.inflight.own);
        ck_assert_uint_eq(ask_set(&rig, (struct vu_inflight){ .size = 2112, .queues = 1, .queue_size = 128 }, 4096, 1),
                          1); /* not under a running vring */
        rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), 8);
        ck_assert_uint_eq(ask_set(&rig, (struct vu_inflight){ .size = 2112, .queues = 1, .queue_size = 128 }, 4096, 1),
                          0);
        ck_assert(!rig.s->ledger.inflight.own);
        rig_done(&rig);
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = {
                &gives_out_a_sealed_area, &judges_what_is_asked_for, &takes_an_area_that_fits,
                &starts_no_vring_that_the_area_lacks,
                &starts_no_packed_vring_in_an_area_for_split_ones, &resumes_only_what_was_not_drained,
                &takes_up_what_was_left_at_its_base_only,
                &makes_its_own_once, &gives_way_to_the_front_ends,
        };

        return rig_main("inflight", tests, ARRAY_SIZE(tests));
}
