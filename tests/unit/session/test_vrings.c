/*
 * Vrings: what may be set, what a start wants, what a stop answers, what a refusal leaves as it was.
 */
#include "rig.h"

#include "array.h"
#include "virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t ask_state(struct rig *rig, uint32_t request, uint32_t index, uint32_t num)
{
        struct vu_vring_state state = { index, num };

        return rig_ask(rig, request, &state, sizeof(state), NULL, 0);
}

static uint64_t ask_fd(struct rig *rig, uint32_t request, uint64_t word, unsigned n_fds)
{
        int fd = rig_file(0);
        uint64_t result = rig_ask(rig, request, &word, sizeof(word), &fd, n_fds);

        close(fd);
        return result;
}

static int get_base(struct rig *rig, uint32_t index)
{
        struct vu_vring_state state = { .index = index };

        rig_send(rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
        if (rig_reply(rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL) < 0)
                return -1;
        return (int) state.num;
}

static void up(struct rig *rig)
{
        rig_init(rig);
        rig_negotiate(rig, RIG_PROTOCOL);
        rig_memory(rig);
        rig_forget(rig);
}

START_TEST(judges_sizes)
{
        static const uint32_t bad[] = { 0, 3, 127, 129, 1000, 2048, 65536, 0x80000000, UINT32_MAX };
        static const uint32_t good[] = { 1, 2, 128, 1024 };
        struct rig rig;

        up(&rig);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, bad[i]), 1);
        for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
                ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, good[i]), 0);
        ck_assert_uint_eq(rig.n_seen, 0);
        rig_done(&rig);
}
END_TEST

START_TEST(judges_indices)
{
        static const uint32_t states[] = { VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_SET_VRING_ENABLE };
        static const uint32_t indices[] = { 4, 200, 256, 0x10000, 0x80000000, UINT32_MAX };
        static const uint64_t words[] = { 4, 200, 255, 1 << 9, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX };
        struct rig rig;

        up(&rig);
        for (unsigned i = 0; i < ARRAY_SIZE(indices); i++) {
                struct vu_vring_addr addr = { .index = indices[i] };

                for (unsigned j = 0; j < ARRAY_SIZE(states); j++)
                        ck_assert_uint_eq(ask_state(&rig, states[j], indices[i], 1), 1);
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 1);
        }
        ck_assert(rig_logged(&rig, "SET_VRING_NUM: vring 200: no such vring: EINVAL"));
        for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
                for (uint32_t request = VU_SET_VRING_KICK; request <= VU_SET_VRING_ERR; request++)
                        ck_assert_uint_eq(ask_fd(&rig, request, words[i], 1), 1);
        ck_assert_uint_eq(rig.n_seen, 0);
        ck_assert_int_eq(get_base(&rig, 4), -1);
        ck_assert(rig.s->over); /* it has no error form */
        rig_done(&rig);
}
END_TEST

START_TEST(wants_a_descriptor_or_the_word_that_there_is_none)
{
        struct rig rig;

        up(&rig);
        for (uint32_t request = VU_SET_VRING_CALL; request <= VU_SET_VRING_ERR; request++) {
                ck_assert_uint_eq(ask_fd(&rig, request, 0, 0), 1);
                ck_assert_uint_eq(ask_fd(&rig, request, VU_VRING_NOFD, 1), 1);
                ck_assert_uint_eq(ask_fd(&rig, request, 0, 1), 0);
                ck_assert_uint_eq(ask_fd(&rig, request, VU_VRING_NOFD, 0), 0);
        }
        ck_assert(!fd_has(&rig.s->ledger.vring[0].call) && !fd_has(&rig.s->ledger.vring[0].err));
        rig_done(&rig);
}
END_TEST

START_TEST(judges_addresses)
{
        struct vu_vring_addr good = rig_addr(0);
        static const struct {
                int64_t desc, avail, used;
                uint64_t at_once, at_start;
        } cases[] = { /* offsets from good ones */
                { 0, 0, 0, 0, 0 },
                { 8, 0, 0, 1, 0 },
                { 0, 1, 0, 1, 0 },
                { 0, 2, 0, 0, 0 },
                { 0, 0, 2, 1, 0 },
                { 0, 0, 4, 0, 0 },
                { -0x10, 0, 0, 0, 1 },                          /* begins before the region */
                { RIG_MEMORY - 16 * 128, 0, 0, 0, 0 },          /* ends with it */
                { RIG_MEMORY - 16 * 127, 0, 0, 0, 1 },          /* ends behind it */
                { 0, RIG_MEMORY - 0x4000 - 6 - 256, 0, 0, 0 },
                { 0, RIG_MEMORY - 0x4000 - 4 - 256, 0, 0, 1 },
                { 0, 0, RIG_MEMORY - 0x8000 - 8 - 1024, 0, 0 },
                { 0, 0, RIG_MEMORY - 0x8000 - 4 - 1024, 0, 1 },
                { -RIG_UVA - 0x10, 0, 0, 0, 1 },                /* wraps */
        };

        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
                struct vu_vring_addr addr = good;
                struct rig rig;

                up(&rig);
                addr.desc += (uint64_t) cases[i].desc;
                addr.avail += (uint64_t) cases[i].avail;
                addr.used += (uint64_t) cases[i].used;
                ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, 128), 0);
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), cases[i].at_once);
                if (!cases[i].at_once)
                        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), cases[i].at_start);
                ck_assert_int_eq(ledger_running(&rig.s->ledger), !cases[i].at_once && !cases[i].at_start);
                rig_done(&rig);
        }
}
END_TEST

START_TEST(starts_only_what_is_complete)
{
        struct vu_vring_addr addr = rig_addr(1);
        struct rig rig;

        rig_init(&rig);
        rig_tell_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL);
        rig_tell_u64(&rig, VU_SET_FEATURES, BIT30 | 1 << 9);
        rig_memory(&rig);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 1, 1), 1);
        ck_assert(rig_logged(&rig, "SET_VRING_KICK: features 0x200: the driver lacks VERSION_1: EOPNOTSUPP"));
        rig_tell_u64(&rig, VU_SET_FEATURES, BIT30 | VERSION_1);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 1, 1), 1);
        ck_assert(rig_logged(&rig, "SET_VRING_KICK: vring 1: no size: EINVAL"));
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 1, 128), 0);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 1, 1), 1);
        ck_assert(rig_logged(&rig, "SET_VRING_KICK: vring 1: no addresses: EINVAL"));
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 1 | VU_VRING_NOFD, 0), 0); /* polled */
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->fds, 0);
        ck_assert_int_eq(rig.s->ledger.vring[1].state, VRING_STARTED);
        rig_done(&rig);
}
END_TEST

START_TEST(changes_descriptors_of_a_running_vring)
{
        const struct ipc_vring_fd_change *change;
        struct rig rig;

        up(&rig);
        rig_start(&rig, 2);
        for (uint32_t request = VU_SET_VRING_KICK; request <= VU_SET_VRING_ERR; request++) {
                ck_assert_uint_eq(ask_fd(&rig, request, 2, 1), 0);
                change = rig_got(&rig, IPC_VRING_FD);
                ck_assert_uint_eq(change->index, 2);
                ck_assert_uint_eq(change->which, 1u << (request - VU_SET_VRING_KICK));
                ck_assert_uint_eq(rig.seen[rig.n_seen - 1].n_fds, 1);
                ck_assert_uint_eq(ask_fd(&rig, request, 2 | VU_VRING_NOFD, 0), 0);
                ck_assert_uint_eq(rig.seen[rig.n_seen - 1].n_fds, 0);
        }
        ck_assert(!fd_has(&rig.s->ledger.vring[2].kick) && !fd_has(&rig.s->ledger.vring[2].call));
        ck_assert_uint_eq(rig_count(&rig, IPC_VRING_START), 1);
        rig_done(&rig);
}
END_TEST

START_TEST(stops_before_it_sets_what_cannot_change)
{
        struct vu_vring_addr addr = rig_addr(0);
        struct rig rig;

        up(&rig);
        rig_start(&rig, 0);
        addr.log = 5; /* the same addresses are no change */
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        ck_assert_uint_eq(rig_count(&rig, IPC_VRING_STOP), 0);
        addr.avail += 0x100;
        rig.value = 33;
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        ck_assert_uint_eq(rig_count(&rig, IPC_VRING_STOP), 1);
        ck_assert_int_eq(rig.s->ledger.vring[0].state, VRING_STOPPED);
        ck_assert_uint_eq(rig.s->ledger.vring[0].base, 33);
        ck_assert_uint_eq(rig.s->ledger.vring[0].addr.avail, addr.avail);
        ck_assert(!fd_has(&rig.s->ledger.vring[0].kick) && fd_has(&rig.s->ledger.vring[0].call));
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 0);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->base, 33);
        rig_done(&rig);
}
END_TEST

START_TEST(answers_the_base)
{
        struct rig rig;

        up(&rig);
        rig_tell_state(&rig, VU_SET_VRING_BASE, 1, 0xffff);
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_BASE, 1, 0x10000), 1);
        ck_assert_int_eq(get_base(&rig, 1), 0xffff); /* never started */
        ck_assert_uint_eq(rig.n_seen, 0);
        rig_start(&rig, 1);
        rig.value = 0x1234;
        ck_assert_int_eq(get_base(&rig, 1), 0x1234);
        ck_assert(!fd_has(&rig.s->ledger.vring[1].kick) && !fd_has(&rig.s->ledger.vring[1].call));
        rig_forget(&rig);
        ck_assert_int_eq(get_base(&rig, 1), 0x1234); /* again, from the ledger */
        ck_assert_uint_eq(rig.n_seen, 0);
        rig_done(&rig);
}
END_TEST

START_TEST(waits_with_the_base_until_it_is_drained)
{
        struct vu_vring_state state = { .index = 0 };
        struct ipc_answer answer = { .value = 8 };
        struct rig rig;

        up(&rig);
        rig_start(&rig, 0);
        rig.silent = true;
        rig_send(&rig, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
        rig_send(&rig, VU_GET_FEATURES, VU_VERSION, NULL, 0, NULL, 0); /* stays in the socket: in order */
        ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), -1);
        rig_from_worker(&rig, IPC_ANSWER, rig.seen[rig.n_seen - 1].header.sequence, &answer, sizeof(answer));
        ck_assert_int_eq(rig_reply(&rig, VU_GET_VRING_BASE, &state, sizeof(state), NULL), 8);
        ck_assert_uint_eq(state.num, 8);
        ck_assert_int_eq(rig_reply(&rig, VU_GET_FEATURES, &state, sizeof(state), NULL), 8);
        rig_done(&rig);
}
END_TEST

START_TEST(refusals_change_nothing)
{
        struct vu_vring_addr other = rig_addr(3);
        struct ledger *before = malloc(sizeof(*before));
        struct rig rig;

        up(&rig);
        rig_start(&rig, 0);
        rig_start(&rig, 1);
        other.index = 0;
        memcpy(before, &rig.s->ledger, sizeof(*before));
        rig.refuse = -EIO;
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, 64), 1);
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_BASE, 0, 64), 1);
        ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ADDR, &other, sizeof(other), NULL, 0), 1);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 1);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_CALL, 0, 1), 1);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_ERR, 1, 1), 1);
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_ENABLE, 1, 1), 1);
        ck_assert_uint_eq(rig_ask(&rig, VU_RESET_DEVICE, NULL, 0, NULL, 0), 1);
        ck_assert_mem_eq(before, &rig.s->ledger, offsetof(struct ledger, vring));
        ck_assert_mem_eq(before->vring, rig.s->ledger.vring, 4 * sizeof(before->vring[0]));
        ck_assert(rig_logged(&rig, "SET_VRING_NUM: refused by the worker (VRING_STOP): EIO"));
        free(before);
        rig_done(&rig);
}
END_TEST

START_TEST(a_refused_start_leaves_it_stopped)
{
        struct vu_vring_addr addr = rig_addr(0);
        struct rig rig;

        up(&rig);
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, 128), 0);
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        rig.refuse = -EFAULT;
        rig.refuse_type = IPC_INFLIGHT;
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 1);
        ck_assert(!fd_has(&rig.s->ledger.inflight.fd) && !fd_has(&rig.s->ledger.vring[0].kick));
        rig.refuse_type = IPC_VRING_START;
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 1);
        ck_assert(fd_has(&rig.s->ledger.inflight.fd) && !fd_has(&rig.s->ledger.vring[0].kick));
        ck_assert_int_eq(rig.s->ledger.vring[0].state, VRING_STOPPED);
        rig.refuse = 0;
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 0);
        ck_assert_uint_eq(rig_count(&rig, IPC_INFLIGHT), 2);
        rig_done(&rig);
}
END_TEST

START_TEST(a_broken_vring_is_stopped_before_it_starts_again)
{
        struct ipc_vring_broken broken = { .index = 0, .error = -EFAULT };
        struct rig rig;

        up(&rig);
        rig_start(&rig, 0);
        rig_from_worker(&rig, IPC_VRING_BROKEN, 0, &broken, sizeof(broken));
        ck_assert_int_eq(rig.s->ledger.vring[0].state, VRING_BROKEN);
        ck_assert(rig_logged(&rig, "vring 0 is broken: EFAULT"));
        rig_forget(&rig);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_CALL, 0, 1), 0);
        ck_assert_uint_eq(rig.n_seen, 0);
        rig.value = 3;
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 0);
        ck_assert_uint_eq(rig.seen[0].header.type, IPC_VRING_STOP);
        ck_assert_uint_eq(((const struct ipc_vring_start *) rig_got(&rig, IPC_VRING_START))->base, 3);
        ck_assert_int_eq(rig.s->ledger.vring[0].state, VRING_STARTED);
        rig_done(&rig);
}
END_TEST

START_TEST(a_vring_may_break_while_it_starts)
{
        struct ipc_vring_broken broken = { .index = 0, .error = -EINVAL };
        struct ipc_answer answer = { 0 };
        struct vu_vring_addr addr = rig_addr(0);
        uint64_t word = 0;
        int fd = rig_file(0);
        struct rig rig;

        up(&rig);
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, 128), 0);
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        rig.silent = true;
        rig_send(&rig, VU_SET_VRING_KICK, VU_VERSION, &word, sizeof(word), &fd, 1);
        rig_from_worker(&rig, IPC_ANSWER, rig.seen[0].header.sequence, &answer, sizeof(answer)); /* the area */
        rig_from_worker(&rig, IPC_VRING_BROKEN, 0, &broken, sizeof(broken));
        rig_from_worker(&rig, IPC_ANSWER, rig.seen[1].header.sequence, &answer, sizeof(answer));
        ck_assert_int_eq(rig.s->ledger.vring[0].state, VRING_BROKEN);
        ck_assert(!rig.s->over);
        rig_done(&rig);
        close(fd);
}
END_TEST

static void up_packed(struct rig *rig)
{
        rig_init(rig);
        rig_tell_u64(rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL);
        rig_tell_u64(rig, VU_SET_FEATURES, VERSION_1 | BIT30 | VIRTIO_BIT(VIRTIO_F_RING_PACKED));
        rig_memory(rig);
        rig_forget(rig);
}

START_TEST(judges_packed_vrings)
{
        static const uint32_t bad[] = { 0, 1025, 32768, UINT32_MAX }, good[] = { 1, 3, 127, 1000, 1024 };
        static const uint64_t bad_bits[] = { 1, 2, 4, 8 };
        struct vu_vring_addr addr = rig_addr(0);
        struct rig rig;

        up_packed(&rig);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, bad[i]), 1);
        for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
                ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, good[i]), 0);
        for (unsigned i = 0; i < 3 * ARRAY_SIZE(bad_bits); i++) {
                struct vu_vring_addr wrong = addr;

                *(i % 3 == 0 ? &wrong.desc : i % 3 == 1 ? &wrong.avail : &wrong.used) += bad_bits[i / 3];
                ck_assert_uint_eq(rig_ask(&rig, VU_SET_VRING_ADDR, &wrong, sizeof(wrong), NULL, 0),
                                  i % 3 == 0 || bad_bits[i / 3] < 4);
        }
        rig_done(&rig);
}
END_TEST

/* The event areas are four bytes each, wherever; the ring has to lie in memory whole. */
START_TEST(packed_parts_lie_in_memory)
{
        struct vu_vring_addr addr = { .desc = RIG_UVA + RIG_MEMORY - 100 * 16, .avail = RIG_UVA + RIG_MEMORY - 4,
                                      .used = RIG_UVA };
        struct rig rig;

        up_packed(&rig);
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, 101), 0);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 1);
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, 100), 0);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 0);
        rig_done(&rig);
}
END_TEST

static uint32_t base_of_start(struct rig *rig)
{
        return ((const struct ipc_vring_start *) rig_got(rig, IPC_VRING_START))->base;
}

/* Both halves of a base name a slot of the ring. */
START_TEST(judges_packed_bases)
{
        static const uint32_t bad[] = { 0x80648064, 0x80008064, 0x80648000, 0xffff8000, 0x7fff };
        struct vu_vring_addr addr = rig_addr(0);
        struct rig rig;

        up_packed(&rig);
        ck_assert_uint_eq((uint32_t) get_base(&rig, 0), VRING_PACKED_BASE_FRESH);
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, 100), 0);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_BASE, 0, bad[i]), 0);
                ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 1);
        }
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_BASE, 0, 0x80630063), 0);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 0);
        ck_assert_uint_eq(base_of_start(&rig), 0x80630063);
        rig_done(&rig);
}
END_TEST

START_TEST(a_packed_vring_begins_anew_without_a_base)
{
        struct vu_vring_addr addr = rig_addr(0);
        struct rig rig;

        up_packed(&rig);
        rig_tell(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
        ck_assert_uint_eq(ask_state(&rig, VU_SET_VRING_NUM, 0, 100), 0);
        ck_assert_uint_eq(ask_fd(&rig, VU_SET_VRING_KICK, 0, 1), 0);
        ck_assert_uint_eq(base_of_start(&rig), VRING_PACKED_BASE_FRESH);
        rig_done(&rig);
}
END_TEST

int main(void)
{
        static const TTest *const *const tests[] = {
                &judges_sizes, &judges_indices, &wants_a_descriptor_or_the_word_that_there_is_none, &judges_addresses,
                &starts_only_what_is_complete, &changes_descriptors_of_a_running_vring,
                &stops_before_it_sets_what_cannot_change, &answers_the_base, &waits_with_the_base_until_it_is_drained,
                &refusals_change_nothing, &a_refused_start_leaves_it_stopped,
                &a_broken_vring_is_stopped_before_it_starts_again, &a_vring_may_break_while_it_starts,
                &judges_packed_vrings, &packed_parts_lie_in_memory, &judges_packed_bases,
                &a_packed_vring_begins_anew_without_a_base,
        };

        return rig_main("vrings", tests, ARRAY_SIZE(tests));
}
