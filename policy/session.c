/*
 * What vhost-session may call once it reads its front-end: descriptors in, packets out. No memory is mapped, nothing
 * is opened, nothing that a front-end sent is read or written except its connection and its back-end channel.
 */
#include "policy.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define ALL_BITS UINT32_MAX
#define COMMAND(value_) .n = 1, .argument = { { 1, ALL_BITS, value_ } }, .limit = #value_
#define MEMFD_NOEXEC_SEAL 0x0008U /* newer than the C library's headers; optional */

const struct policy_call policy_session_run[] = {
        { .name = "ppoll", .who = "session_step, own_end_check_source" },
        { .name = "recvmsg", .who = "vu_recv, packet_recv, own_end.c: empty" },
        { .name = "sendmsg", .who = "packet_send, vu_out_send, backend_send, own_end.c: takes_nothing" },
        { .name = "writev", .who = "packet_send to the broker's pipe, backend_send to a pipe, inband.c: fire" },
        { .name = "shutdown",
          .who = "own_end_check, own_end_check_source",
          .n = 1,
          .argument = { { 1, ALL_BITS & ~SHUT_WR, SHUT_RD } },
          .limit = "SHUT_RD or SHUT_WR" },
        { .name = "getsockopt",
          .who = "own_end.c: check_end",
          .n = 2,
          .argument = { { 1, ALL_BITS, SOL_SOCKET }, { 2, ALL_BITS, SO_TYPE } },
          .limit = "SO_TYPE" },
        { .name = "eventfd2", .who = "new_eventfd", .n = 1, .argument = { { 1, ALL_BITS, EFD_CLOEXEC | EFD_NONBLOCK } },
          .limit = "EFD_CLOEXEC and EFD_NONBLOCK" },
        { .name = "read", .who = "inband_step: eventfds of our own" },
        { .name = "ioctl", .who = "is_userfaultfd", COMMAND(UFFDIO_WAKE) },
        { .name = "close", .who = "fd_close" },
        /* fstat(3) is one or the other, by version of the C library */
        { .name = "fstat", .who = "memory_check_file, is_userfaultfd, inflight.c: check_area, backend.c: check_channel, dirty_log.c: check_log" },
        { .name = "newfstatat", .who = "the same", .n = 1, .argument = { { 3, ALL_BITS, AT_EMPTY_PATH } },
          .limit = "AT_EMPTY_PATH" },
        { .name = "fcntl", .who = "fd_nonblock", COMMAND(F_GETFL) },
        { .name = "fcntl", .who = "fd_nonblock", COMMAND(F_SETFL) },
        { .name = "fcntl", .who = "inflight_new", COMMAND(F_ADD_SEALS) },
        { .name = "memfd_create",
          .who = "inflight_new",
          .n = 1,
          .argument = { { 1, ALL_BITS & ~MEMFD_NOEXEC_SEAL, MFD_CLOEXEC | MFD_ALLOW_SEALING } },
          .limit = "MFD_CLOEXEC and MFD_ALLOW_SEALING, with or without MFD_NOEXEC_SEAL" },
        { .name = "ftruncate", .who = "inflight_new" },
        { .name = "clock_gettime", .who = "clock_now_ns, where the vDSO cannot" },
        { .name = "exit_group", .who = "main" },
        { 0 },
};
