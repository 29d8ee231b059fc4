/*
 * Descriptors that hold up whoever closes, writes or asks them: files of a FUSE server that does not answer, TCP sockets
 * that linger, event counters that are full, the very connection they came by. They may cost their own device, for as
 * long as they last; never a neighbour, never the broker, not even while it ends.
 */
#include "fuse_file.h"
#include "lingering.h"
#include "neighbour.h"
#include "nesting.h"

#include "array.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each message that carries a descriptor, with this one; whether it is taken or refused is not the question. */
enum { STATE_SAVE = VU_SET_DEVICE_STATE_FD, STATE_LOAD = 1000 + VU_SET_DEVICE_STATE_FD };
static const uint32_t carriers[] = { VU_SET_MEM_TABLE,  VU_SET_LOG_BASE,    VU_SET_LOG_FD,
                                     VU_SET_VRING_KICK, VU_SET_VRING_CALL,  VU_SET_VRING_ERR,
                                     VU_ADD_MEM_REG,    VU_SET_INFLIGHT_FD, VU_SET_BACKEND_REQ_FD,
                                     STATE_SAVE,        STATE_LOAD,         VU_SET_OWNER /* may have none */ };

/* Those whose descriptor is kept whatever it is. */
static const uint32_t keepers[] = { VU_SET_LOG_FD,         VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR,
                                    VU_SET_BACKEND_REQ_FD, STATE_SAVE,        STATE_LOAD };

static void send_in(struct fe_conn *conn, uint32_t request, int fd)
{
        struct {
                uint64_t first, second;
                struct vu_region region;
        } table = { .region = { .gpa = 0, .size = 1 << 20, .uva = 0 } };
        struct vu_inflight inflight = { .size = 1 << 20, .queues = 1, .queue_size = 128 };
        struct vu_region region = { .gpa = 0, .size = 1 << 20, .uva = 0 };
        const struct vu_device_state state = { request == STATE_LOAD ? VU_STATE_LOAD : VU_STATE_SAVE, 0 };
        const uint64_t log[2] = { 1 << 20, 0 };
        const uint64_t zero = 0;

        switch (request) {
        case VU_SET_MEM_TABLE:
                (void) fe_set_mem_table(conn, &region, &fd, 1);
                break;
        case VU_ADD_MEM_REG:
                (void) fe_add_mem_reg(conn, &table.region, fd);
                break;
        case VU_SET_INFLIGHT_FD:
                (void) fe_set_inflight_fd(conn, &inflight, fd);
                break;
        case VU_SET_LOG_BASE:
                (void) fe_send_flags(conn, request, VU_VERSION, log, sizeof(log), &fd, 1);
                break;
        case STATE_SAVE:
        case STATE_LOAD:
                (void) fe_send_flags(conn, VU_SET_DEVICE_STATE_FD, VU_VERSION, &state, sizeof(state), &fd, 1);
                break;
        case VU_SET_VRING_KICK:
        case VU_SET_VRING_CALL:
        case VU_SET_VRING_ERR:
                (void) fe_set_vring_fd(conn, request, 0, fd);
                break;
        default:
                (void) fe_tell(conn, request, &zero, 0, &fd, 1);
        }
}

static struct fuse_file fuse_of(const struct rig *rig)
{
        struct fuse_file file;
        char directory[RIG_PATH_MAX + 8];
        int r;

        snprintf(directory, sizeof(directory), "%s/fuse", rig->dir);
        ck_assert(mkdir(directory, 0755) == 0 || errno == EEXIST);
        r = fuse_file_open(directory, &file);
        if (r < 0)
                rig_left_out("files whose close hangs: this host lets no user serve FUSE files");
        return file;
}

/* While its closes hang a new connection waits, or is refused; afterwards all is as if nothing had been. */
START_TEST(file_whose_close_hangs)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        struct fuse_file file = fuse_of(&rig);
        struct fe_conn conn, next;

        if (fd_has(&file.file)) {
                conn = rig_connect(&rig);
                fuse_file_hang(&file);
                conn.timeout_ms = 300; /* its session may not come to an answer */
                send_in(&conn, carriers[_i], file.file.num);
                fe_close(&conn);
                OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &next));
                neighbour_look_in(&n);
                fe_close(&next);
                neighbour_look_in(&n);
        }
        fuse_file_done(&file);
        neighbour_ending(&rig, &n);
}
END_TEST

/* The same in a message that nobody ever receives, for the broker refuses its connection or ends. */
START_TEST(file_whose_close_hangs_in_the_queue)
{
        static const struct vu_header header = { VU_SET_VRING_CALL, VU_VERSION, 8 };
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        struct fuse_file file = fuse_of(&rig);
        struct fe_conn first, held, refused;

        if (fd_has(&file.file)) {
                first = rig_connect(&rig);
                OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &held));
                fuse_file_hang(&file);
                OK(prog_halt(rig.prog.pid, FE_TIMEOUT_MS)); /* or it refuses before there is a message */
                OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &refused));
                OK(fe_send_raw(&held, &header, sizeof(header), &file.file.num, 1));
                OK(fe_send_raw(&refused, &header, sizeof(header), &file.file.num, 1));
                ck_assert_int_eq(kill(rig.prog.pid, SIGCONT), 0);
                fe_close(&refused);
                fe_close(&held);
                rig_quiet(&first); /* the broker lets all go, and this one goes on */
                OK(prog_log_wait(&rig.prog, 0, "connection refused: one already waits", FE_TIMEOUT_MS));
                neighbour_look_in(&n);
                fe_close(&first);
        }
        fuse_file_done(&file);
        neighbour_ending(&rig, &n);
}
END_TEST

/* The broker ends in its time, though a session of its cannot. */
START_TEST(file_whose_close_hangs_at_the_end)
{
        struct rig rig = rig_start((struct rig_options){ .neighbour = true });
        struct fuse_file file = fuse_of(&rig);
        int status = 0, ms;

        if (fd_has(&file.file)) {
                struct fe_conn conn = rig_connect(&rig);

                send_in(&conn, VU_SET_VRING_CALL, file.file.num);
                rig_quiet(&conn);
                fuse_file_hang(&file);
                kill(rig.prog.pid, SIGTERM);
                OK(prog_end(&rig.prog, RIG_STOP_MS, &status)); /* it asks, kills, and gives up */
                ck_assert_int_eq(status, 0);
                ck_assert_ptr_nonnull(strstr(rig.prog.log, "its session does not end, something blocks it: left"));
                fe_close(&conn);
        }
        fuse_file_done(&file);
        OK(prog_stop(&rig.prog, RIG_STOP_MS, &status, &ms));
}
END_TEST

/* The session that is not the neighbour's. */
static pid_t session_beside(const struct rig *rig, pid_t neighbours)
{
        pid_t pid[2];

        ck_assert_uint_eq(prog_find(rig->prog.pid, "vhost-session", pid, 2), 2);
        return pid[pid[0] == neighbours];
}

/* The session rests meanwhile, or it might close its one before we do. */
START_TEST(socket_that_lingers)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        pid_t session = rig_child(&rig, "vhost-session");
        struct fd peer, s = lingering_socket(LINGER_S, &peer);
        struct fe_conn conn = rig_connect(&rig);

        session = session_beside(&rig, session);
        OK(prog_halt(session, FE_TIMEOUT_MS));
        conn.timeout_ms = 1;
        send_in(&conn, carriers[_i], s.num);
        fd_close(&s); /* the last one is not ours any more */
        ck_assert_int_eq(kill(session, SIGCONT), 0);
        fe_close(&conn);
        neighbour_look_in(&n);
        fd_close(&peer); /* now nothing lingers any more */
        rig_check_alive(&rig);
        neighbour_move_out(&n);
}
END_TEST

/* In the queue of a connection that the broker refuses: it must not be the broker who closes it last. */
START_TEST(socket_that_lingers_in_the_queue)
{
        static const struct vu_header header = { VU_SET_VRING_CALL, VU_VERSION, 8 };
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn first = rig_connect(&rig), held, third;
        struct fd peer, s = lingering_socket(LINGER_S, &peer);
        long long from;

        OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &held));
        OK(prog_halt(rig.prog.pid, FE_TIMEOUT_MS)); /* or it could be us who close it last */
        OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &third));
        OK(fe_send_raw(&third, &header, sizeof(header), &s.num, 1));
        fd_close(&s);
        ck_assert_int_eq(kill(rig.prog.pid, SIGCONT), 0);
        fe_close(&third);
        from = fe_now_ns();
        fe_close(&first);
        rig_quiet(&held); /* the broker was free to serve it */
        ck_assert_int_lt((fe_now_ns() - from) / 1000000000, LINGER_S - 1);
        OK(prog_log_wait(&rig.prog, 0, "connection refused: one already waits", FE_TIMEOUT_MS));
        neighbour_look_in(&n);
        fe_close(&held);
        rig_check_alive(&rig);
        fd_close(&peer);
        neighbour_move_out(&n);
}
END_TEST

/* In the queue of one that the broker never accepts, and closes with its listening socket. */
START_TEST(socket_that_lingers_in_the_backlog)
{
        enum { N = 4 }; /* more than it accepts at once */
        static const struct vu_header header = { VU_SET_VRING_CALL, VU_VERSION, 8 };
        struct rig rig = rig_start((struct rig_options){ .set = { "limits.connectionspersecond=1" } });
        struct fd peer, s = lingering_socket(LINGER_S, &peer);
        struct fe_conn conn[N];
        int status = 1, ms;

        OK(prog_halt(rig.prog.pid, FE_TIMEOUT_MS));
        for (unsigned i = 0; i < N; i++)
                OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &conn[i]));
        OK(fe_send_raw(&conn[N - 1], &header, sizeof(header), &s.num, 1));
        fd_close(&s);
        ck_assert(kill(rig.prog.pid, SIGTERM) == 0 && kill(rig.prog.pid, SIGCONT) == 0);
        OK(prog_end(&rig.prog, (LINGER_S - 1) * 1000, &status));
        ck_assert_int_eq(status, 0);
        for (unsigned i = 0; i < N; i++)
                fe_close(&conn[i]);
        fd_close(&peer);
        OK(prog_stop(&rig.prog, RIG_STOP_MS, &status, &ms));
}
END_TEST

/* A counter that is full: who writes to it waits for a reader. All requests are used, whoever is called or not. */
static struct fd full_counter(void)
{
        struct fd fd = { eventfd(0, EFD_CLOEXEC) };

        ck_assert_int_eq(eventfd_write(fd.num, UINT64_MAX - 1), 0);
        return fd;
}

static void used_without_calls(struct drv_blk *blk)
{
        struct drv_blk_req *req;

        for (unsigned i = 0; i < 10; i++) {
                long long end = fe_deadline(FE_TIMEOUT_MS);

                req = drv_blk_slot(blk);
                ck_assert(req != NULL);
                OK(drv_blk_submit(blk, req, VIRTIO_BLK_T_IN, i * 8, 4096));
                drv_kick_anyway(blk->vring);
                while (drv_blk_reap(blk, &req) == 0)
                        ck_assert_msg(fe_left_ms(end), "request %u is not used", i);
        }
}

START_TEST(call_that_is_full)
{
        RIG_WITH(rig, .neighbour = true, .engine = _i ? "sync" : "uring");
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 2 });
        struct drv_blk blk = rig_blk(&device, 0), well = rig_blk(&device, 1);
        struct fd full = full_counter();

        OK(fe_set_vring_fd(&device.conn, VU_SET_VRING_CALL, 0, full.num));
        OK(fe_set_vring_fd(&device.conn, VU_SET_VRING_ERR, 0, full.num));
        drv_want_calls(device.vring[0], true);
        used_without_calls(&blk);
        rig_read_one(&rig, &well);
        drv_blk_done(&blk);
        drv_blk_done(&well);
        fe_device_drop(&device);
        fd_close(&full);
        neighbour_ending(&rig, &n);
}
END_TEST

struct toggler {
        int fd;
        atomic_bool over;
};

static void *toggle(void *context)
{
        struct toggler *t = context;

        while (!atomic_load(&t->over))
                fcntl(t->fd, F_SETFL, 0);
        return NULL;
}

/* Its flags are shared, so the front-end can make it a blocking one at any time. At worst that blocks its own worker. */
START_TEST(call_that_is_made_to_block)
{
        RIG_WITH(rig, .neighbour = true, .engine = "sync");
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_device device = rig_device(&rig, (struct fe_options){ .queues = 1 });
        struct drv_blk blk = rig_blk(&device, 0);
        struct fd full = full_counter();
        struct toggler toggler = { .fd = full.num };
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, toggle, &toggler), 0);
        OK(fe_set_vring_fd(&device.conn, VU_SET_VRING_CALL, 0, full.num));
        for (unsigned i = 0; i < 100; i++) {
                struct drv_blk_req *req = drv_blk_slot(&blk);
                long long end = fe_deadline(20);

                if (!req || drv_blk_submit(&blk, req, VIRTIO_BLK_T_IN, i, 512))
                        break;
                drv_kick_anyway(blk.vring);
                while (drv_blk_reap(&blk, &req) == 0 && fe_left_ms(end))
                        ;
        }
        neighbour_look_in(&n);
        fe_close(&device.conn);
        neighbour_look_in(&n);
        rig_check_alive(&rig);
        atomic_store(&toggler.over, true);
        pthread_join(thread, NULL);
        drv_blk_done(&blk);
        fe_device_drop(&device);
        fd_close(&full);
        neighbour_move_out(&n);
}
END_TEST

/* The front-end's own end of its connection: who holds both ends never hears that the other one has gone. */
START_TEST(the_connection_itself)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);

        conn.timeout_ms = 300;
        send_in(&conn, carriers[_i], conn.fd.num);
        fe_close(&conn);
        neighbour_look_in(&n);
        neighbour_ending(&rig, &n);
}
END_TEST

/* The same, and left in its queue: only the kernel can find that nobody holds it any more. */
START_TEST(the_connection_in_its_own_queue)
{
        static const struct vu_header header = { VU_SET_VRING_CALL, VU_VERSION, 8 };
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);

        for (unsigned i = 0; i < 20; i++) {
                struct fe_conn conn;

                OK(fe_connect(rig.socket, FE_TIMEOUT_MS, &conn));
                for (unsigned k = 0; k < 50; k++)
                        (void) fe_send_raw(&conn, &header, k % (sizeof(header) + 1), &conn.fd.num, 1);
                fe_close(&conn);
        }
        neighbour_look_in(&n);
        neighbour_ending(&rig, &n);
}
END_TEST

/* The same in the queue of another socket, which nobody will ever read. */
START_TEST(the_connection_in_another_queue)
{
        RIG_WITH(rig, .neighbour = true);
        struct neighbour n = neighbour_move_in(&rig);

        for (unsigned i = 0; i < ARRAY_SIZE(keepers); i++) {
                struct fe_conn conn = rig_connect(&rig);
                struct fd s = nesting_of((unsigned) _i, conn.fd.num);

                send_in(&conn, keepers[i], s.num);
                fd_close(&s);
                fe_close(&conn);
        }
        neighbour_ending(&rig, &n);
}
END_TEST

/* Behind a question that waits for what stands in the same queue: the end of the pipe that a state is loaded from. */
START_TEST(the_connection_behind_a_question)
{
        static const struct vu_header header = { VU_SET_VRING_CALL, VU_VERSION, 8 };
        RIG_WITH(rig, .neighbour = true, .set = { "limits.replyms=300" });
        struct neighbour n = neighbour_move_in(&rig);
        struct fe_conn conn = rig_connect(&rig);
        int ends[2];

        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        send_in(&conn, STATE_LOAD, ends[0]);
        OK(fe_send_flags(&conn, VU_CHECK_DEVICE_STATE, VU_VERSION, NULL, 0, NULL, 0));
        OK(fe_send_raw(&conn, &header, sizeof(header), &conn.fd.num, 1));
        OK(fe_send_raw(&conn, &header, sizeof(header), &ends[1], 1));
        close(ends[0]);
        close(ends[1]);
        fe_close(&conn);
        OK(prog_log_wait(&rig.prog, 0, "the front-end does not end its device's state: ETIMEDOUT", FE_TIMEOUT_MS));
        neighbour_ending(&rig, &n);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("descriptors");
        TCase *c = tcase_create("descriptors");

        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, file_whose_close_hangs, 0, ARRAY_SIZE(carriers));
        tcase_add_test(c, file_whose_close_hangs_in_the_queue);
        tcase_add_test(c, file_whose_close_hangs_at_the_end);
        tcase_add_loop_test(c, socket_that_lingers, 0, ARRAY_SIZE(carriers));
        tcase_add_test(c, socket_that_lingers_in_the_queue);
        tcase_add_test(c, socket_that_lingers_in_the_backlog);
        tcase_add_loop_test(c, call_that_is_full, 0, 2);
        tcase_add_test(c, call_that_is_made_to_block);
        tcase_add_loop_test(c, the_connection_itself, 0, ARRAY_SIZE(carriers));
        tcase_add_test(c, the_connection_in_its_own_queue);
        tcase_add_loop_test(c, the_connection_in_another_queue, 0, NESTINGS);
        tcase_add_test(c, the_connection_behind_a_question);
        suite_add_tcase(s, c);
        return rig_main(s);
}
