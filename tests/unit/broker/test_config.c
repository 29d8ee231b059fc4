/*
 * Device files: what is read, and the exact line that each mistake gets.
 */
#include "config.h"
#include "array.h"
#include "scratch.h"

#include <check.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct scratch scratch;

static void enter(void)
{
        scratch_enter(&scratch);
}

static void leave(void)
{
        scratch_leave(&scratch);
}

static int load(struct config *ret_config)
{
        return config_load(".", NULL, "/run/v", &scratch.log, ret_config);
}

#define GOOD "[Device]\nType=block\n[Block]\nPath=/d\n"

START_TEST(defaults)
{
        struct config config;
        const struct device_config *d;

        scratch_file("a.conf", GOOD);
        ck_assert_int_eq(load(&config), 0);
        ck_assert_str_eq(scratch.lines, "");
        ck_assert_uint_eq(config.n, 1);
        d = &config.device[0];
        ck_assert_str_eq(d->name, "a");
        ck_assert_ptr_eq(d->type, &policy_block);
        ck_assert_str_eq(d->socket, "/run/v/a.sock");
        ck_assert_str_eq(d->block.path, "/d");
        ck_assert_str_eq(d->block.serial, "");
        ck_assert_uint_eq(d->block.block_size, 0);
        ck_assert_uint_eq(d->block.queues, 4);
        ck_assert(!d->block.read_only && !d->block.direct && d->block.discard && d->block.locking);
        ck_assert_int_eq(d->block.engine, IPC_ENGINE_AUTO);
        ck_assert_uint_eq(d->worker.threads, 1);
        ck_assert_uint_eq(d->worker.poll_max_us, 32);
        ck_assert(!d->worker.pinned);
        ck_assert_uint_eq(d->n_allow_user + d->n_allow_group + d->may_lack, 0);
        ck_assert_ptr_null(d->vm);
        config_done(&config);
}
END_TEST

START_TEST(every_key)
{
        struct config config;
        const struct device_config *d;

        scratch_file("vm1-root.conf", "\xEF\xBB\xBF; a comment\n"
                                      "[Device]\n"
                                      "type = block\n"
                                      "Socket=/run/x.sock\r\n"
                                      "AllowUser=root 4711\n"
                                      "AllowGroup=0\n"
                                      "VM=my machine ; the first\n"
                                      "QueueSize=32768\n"
                                      "InbandNotifications=yes\n"
                                      "Postcopy=yes\n"
                                      "\n"
                                      "[block]\n"
                                      "   Path=/dev/disk\n"
                                      "ReadOnly=Yes\n"
                                      "Serial=01234567890123456789\n"
                                      "BlockSize=4096\n"
                                      "Queues=64\n"
                                      "Cache=none\n"
                                      "Discard=off\n"
                                      "Locking=off\n"
                                      "Engine=SYNC\n"
                                      "# another\n"
                                      "[Worker]\n"
                                      "Threads=16\n"
                                      "PollMaxUs=0\n"
                                      "CPUAffinity=0-2, 8\n"
                                      "[Sandbox]\n"
                                      "MayLack=uids landlock");
        ck_assert_int_eq(load(&config), 0);
        ck_assert_str_eq(scratch.lines, "");
        d = &config.device[0];
        ck_assert_str_eq(d->socket, "/run/x.sock");
        ck_assert_uint_eq(d->n_allow_user, 2);
        ck_assert_uint_eq(d->allow_user[0], 0);
        ck_assert_uint_eq(d->allow_user[1], 4711);
        ck_assert_uint_eq(d->n_allow_group, 1);
        ck_assert_str_eq(d->vm, "my machine");
        ck_assert_uint_eq(d->queue_size, 32768);
        ck_assert(d->inband && d->postcopy);
        ck_assert_str_eq(d->block.path, "/dev/disk");
        ck_assert_str_eq(d->block.serial, "01234567890123456789");
        ck_assert_uint_eq(d->block.block_size, 4096);
        ck_assert_uint_eq(d->block.queues, 64);
        ck_assert(d->block.read_only && d->block.direct && !d->block.discard && !d->block.locking);
        ck_assert_int_eq(d->block.engine, IPC_ENGINE_SYNC);
        ck_assert_uint_eq(d->worker.threads, 16);
        ck_assert_uint_eq(d->worker.poll_max_us, 0);
        ck_assert(d->worker.pinned && CPU_COUNT(&d->worker.cpus) == 4 && CPU_ISSET(8, &d->worker.cpus));
        ck_assert_uint_eq(d->may_lack, IPC_LAYER_UIDS | IPC_LAYER_LANDLOCK);
        config_done(&config);
}
END_TEST

/* The limits that the manual page promises, and any other ones. */
START_TEST(limits)
{
        static const struct ipc_limits promised = { 30000, 5000, 1000, 5000, 1000, 4000, 509, 10, UINT64_C(4) << 40 };
        static const struct ipc_limits others = { 0, 3600000, 1, 2, 1000000, 3, 8, 1000, 1 << 20 };
        struct config config;

        scratch_file("a.conf", "[Device]\nType=rng\n");
        scratch_file("b.conf", "[Device]\nType=rng\n[Limits]\nSetupMs=0\nHandshakeMs=3600000\nPartialMessageMs=1\n"
                               "ReplyMs=2\nMessagesPerSecond=1000000\nMessagesBurst=3\nMemoryRegions=8\n"
                               "LogLinesPerSecond=1000\nMemory=1M\nHoldMs=1\nConnectionsPerSecond=7\n");
        ck_assert_int_eq(load(&config), 0);
        ck_assert_mem_eq(&config.device[0].limits.session, &promised, sizeof(promised));
        ck_assert_uint_eq(config.device[0].limits.hold_ms, 5000);
        ck_assert_uint_eq(config.device[0].limits.connections_per_s, 100);
        ck_assert_mem_eq(&config.device[1].limits.session, &others, sizeof(others));
        ck_assert_uint_eq(config.device[1].limits.hold_ms, 1);
        ck_assert_uint_eq(config.device[1].limits.connections_per_s, 7);
        config_done(&config);
}
END_TEST

START_TEST(null_engine_and_rng)
{
        struct config config;

        scratch_file("n.conf", "[Device]\nType=block\n[Block]\nEngine=null\nSize=1G\n");
        scratch_file("r.conf", "[Device]\nType=rng\n");
        ck_assert_int_eq(load(&config), 0);
        ck_assert_uint_eq(config.n, 2);
        ck_assert_uint_eq(config.device[0].block.size, UINT64_C(1) << 30);
        ck_assert_ptr_null(config.device[0].block.path);
        ck_assert_ptr_eq(config.device[1].type, &policy_rng);
        config_done(&config);
}
END_TEST

/* One file and everything that is said about it. */
static const struct {
        const char *text, *lines;
} mistakes[] = {
        {"",                                                                "./a.conf:1: Type=: is missing in [Device]\n"                                                     },
        { "[Device]\n\nTyp=block\n",                                        "./a.conf:3: Typ=block: there is no such key in [Device]\n"                                       },
        { "[Device]\nType=blk\n",                                           "./a.conf:2: Type=blk: there is no such type of device\n"                                         },
        { "Type=block\n",                                                   "./a.conf:1: a key before the first [SECTION]\n"                                                  },
        { GOOD "[Blok]\n",                                                  "./a.conf:5: there is no such section\n"                                                          },
        { GOOD "[Blok]\nx=y\n",                                             "./a.conf:5: there is no such section\n"                                                          },
        { GOOD "\f[Blo\006ck]\nQueues=4\n",                                 "./a.conf:5: there is no such section\n"                                                          },
        { GOOD "\v \r\n\f; a comment\n\fQueues=0\n",                        "./a.conf:7: Queues=0: must be a number from 1 to 64\n"                                           },
        { GOOD "[Block\nx=y\n",                                             "./a.conf:5: a section is a line of its own: [NAME]\n"                                            },
        { GOOD "[Worker] Threads=2\n",                                      "./a.conf:5: a section is a line of its own: [NAME]\n"                                            },
        { GOOD "nonsense\nmore\n",                                          "./a.conf:5: neither [SECTION] nor KEY=VALUE\n"
                                   "./a.conf:6: neither [SECTION] nor KEY=VALUE\n"                                                          },
        { GOOD "Path=/e\n",                                                 "./a.conf:5: Path=/e: Path= was already set by ./a.conf:4\n"                                      },
        { GOOD "Path=\n",                                                   "./a.conf:5: Path=: Path= was already set by ./a.conf:4\n"                                        },
        { GOOD "Serial=\n",                                                 "./a.conf:5: Serial=: needs a value\n"                                                            },
        { GOOD "Serial=a\033b\n",                                           "./a.conf:5: Serial=a?b: must not contain control characters\n"                                   },
        { GOOD "Serial=a\xC2\x9B" "b\n",                                    "./a.conf:5: Serial=a??b: must not contain control characters\n"                                  },
        { GOOD "Serial=012345678901234567890\n",
         "./a.conf:5: Serial=012345678901234567890: must be at most 20 bytes\n"                                                                                               },
        { GOOD "Serial=\xC3\x9F\n",                                         "./a.conf:5: Serial=\xC3\x9F: must be printable ASCII\n"                                          },
        { GOOD "Queues=0\n",                                                "./a.conf:5: Queues=0: must be a number from 1 to 64\n"                                           },
        { GOOD "Queues=65\n",                                               "./a.conf:5: Queues=65: must be a number from 1 to 64\n"                                          },
        { GOOD "Queues=-1\n",                                               "./a.conf:5: Queues=-1: must be a number from 1 to 64\n"                                          },
        { GOOD "Queues=4 # four\n",                                         "./a.conf:5: Queues=4 # four: must be a number from 1 to 64\n"                                    },
        { GOOD "Queues=99999999999999999999999\n",
         "./a.conf:5: Queues=99999999999999999999999: must be a number from 1 to 64\n"                                                                                        },
        { GOOD "BlockSize=1000\n",                                          "./a.conf:5: BlockSize=1000: must be one of: 512, 1024, 2048, 4096\n"                             },
        { GOOD "Cache=writethrough\n",                                      "./a.conf:5: Cache=writethrough: must be one of: writeback, none\n"                               },
        { GOOD "Engine=aio\n",                                              "./a.conf:5: Engine=aio: must be one of: auto, uring, sync, null\n"                               },
        { GOOD "Discard=maybe\n",                                           "./a.conf:5: Discard=maybe: must be yes or no\n"                                                  },
        { GOOD "ReadOnly=2\n",                                              "./a.conf:5: ReadOnly=2: must be yes or no\n"                                                     },
        { GOOD "Size=1M\n",                                                 "./a.conf:5: Size= is for Engine=null only\n"                                                     },
        { "[Device]\nType=block\n[Block]\nEngine=null\n",                   "./a.conf:4: Engine=null needs Size= in [Block]\n"                                                },
        { "[Device]\nType=block\n[Block]\nEngine=null\nSize=0\n",
         "./a.conf:5: Size=0: must be more than 0 and less than 2^63 bytes\n"                                                                                                 },
        { "[Device]\nType=block\n[Block]\nEngine=null\nSize=99999999T\n",
         "./a.conf:5: Size=99999999T: must be more than 0 and less than 2^63 bytes\n"                                                                                         },
        { "[Device]\nType=block\n[Block]\nEngine=null\nSize=1MB\n",
         "./a.conf:5: Size=1MB: must be bytes, with a suffix K, M, G, T or none\n"                                                                                            },
        { "[Device]\nType=block\n[Block]\nEngine=null\nSize=1000\n",
         "./a.conf:5: Size= must be a multiple of the block size, 512\n"                                                                                                      },
        { "[Device]\nType=block\n[Block]\nEngine=null\nSize=1M\nPath=/d\n",
         "./a.conf:6: Path= has no meaning for Engine=null\n"                                                                                                                 },
        { "[Device]\nType=block\n",                                         "./a.conf:2: Type=block needs Path= in [Block]\n"                                                 },
        { "[Device]\nType=rng\n[Block]\nPath=/d\nQueues=2\n",               "./a.conf:4: Path= has no meaning for Type=rng\n"
                                                              "./a.conf:5: Queues= has no meaning for Type=rng\n"},
        { "[Device]\nType=block\n[Block]\nPath=disk.img\n",                 "./a.conf:4: Path=disk.img: must be an absolute path\n"                                           },
        { GOOD "[Device]\nSocket=x.sock\n",                                 "./a.conf:6: Socket=x.sock: must be an absolute path\n"                                           },
        { GOOD "[Device]\nQueueSize=0\n",                                   "./a.conf:6: QueueSize=0: must be a number from 1 to 32768\n"                                     },
        { GOOD "[Device]\nQueueSize=32769\n",                               "./a.conf:6: QueueSize=32769: must be a number from 1 to 32768\n"                                 },
        { GOOD "[Device]\nAllowUser=no-such-user\n",
         "./a.conf:6: AllowUser=no-such-user: there is no user 'no-such-user'\n"                                                                                              },
        { GOOD "[Device]\nAllowGroup=0 no-such-group\n",
         "./a.conf:6: AllowGroup=0 no-such-group: there is no group 'no-such-group'\n"                                                                                        },
        { GOOD "[Device]\nAllowUser=4294967295\n",
         "./a.conf:6: AllowUser=4294967295: there is no user '4294967295'\n"                                                                                                  },
        { GOOD "[Worker]\nThreads=17\n",                                    "./a.conf:6: Threads=17: must be a number from 1 to 16\n"                                         },
        { GOOD "[Worker]\nPollMaxUs=1001\n",                                "./a.conf:6: PollMaxUs=1001: must be a number from 0 to 1000\n"                                   },
        { GOOD "[Worker]\nCPUAffinity=3-1\n",                               "./a.conf:6: CPUAffinity=3-1: must be a list of CPUs, such as 0-3,8\n"                            },
        { GOOD "[Worker]\nCPUAffinity=1024\n",
         "./a.conf:6: CPUAffinity=1024: must be a list of CPUs, such as 0-3,8\n"                                                                                              },
        { GOOD "[Worker]\nCPUAffinity=0-3x\n",
         "./a.conf:6: CPUAffinity=0-3x: must be a list of CPUs, such as 0-3,8\n"                                                                                              },
        { GOOD "[Limits]\nHoldMs=0\n",                                      "./a.conf:6: HoldMs=0: must be a number from 1 to 3600000\n"                                      },
        { GOOD "[Limits]\nSetupMs=3600001\n",                               "./a.conf:6: SetupMs=3600001: must be a number from 0 to 3600000\n"                               },
        { GOOD "[Limits]\nMessagesBurst=0\n",                               "./a.conf:6: MessagesBurst=0: must be a number from 1 to 1000000\n"                               },
        { GOOD "[Limits]\nMemoryRegions=7\n",                               "./a.conf:6: MemoryRegions=7: must be a number from 8 to 509\n"                                   },
        { GOOD "[Limits]\nMemory=0\n",                                      "./a.conf:6: Memory=0: must be more than 0 and less than 2^63 bytes\n"                            },
        { GOOD "[Sandbox]\nMayLack=uids seccomp\n",
         "./a.conf:6: MayLack=uids seccomp: must be one of: namespaces, uids, landlock, mdwe\n"                                                                               },
};

START_TEST(mistake)
{
        struct config config;

        scratch_file("a.conf", mistakes[_i].text);
        ck_assert_int_lt(load(&config), 0);
        ck_assert_str_eq(scratch.lines, mistakes[_i].lines);
}
END_TEST

START_TEST(long_lines)
{
        char text[8192], path[4200];
        struct config config;

        memset(path, 'x', sizeof(path));
        path[0] = '/';
        path[1000] = 0;
        snprintf(text, sizeof(text), "[Device]\nType=block\n[Block]\nPath=%s\n", path);
        scratch_file("a.conf", text);
        ck_assert_int_eq(load(&config), 0);
        ck_assert_str_eq(config.device[0].block.path, path);
        config_done(&config);

        path[1000] = 'x';
        path[4097] = 0;
        snprintf(text, sizeof(text), "[Device]\nType=block\n[Block]\nPath=%s\n", path);
        scratch_file("a.conf", text);
        ck_assert_int_eq(load(&config), -EINVAL);
        ck_assert_ptr_nonnull(strstr(scratch.lines, "xxx: must be at most 4095 bytes\n"));

        scratch_quiet(&scratch);
        memset(text, 'y', 5000);
        strcpy(text + 5000, "\n" GOOD);
        scratch_file("a.conf", text);
        ck_assert_int_eq(load(&config), -EINVAL);
        ck_assert_str_eq(scratch.lines, "./a.conf:1: the line is too long\n");
}
END_TEST

START_TEST(nul_byte)
{
        FILE *file = fopen("a.conf", "we");
        struct config config;

        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(GOOD "Serial=a\0b\n", 1, sizeof(GOOD "Serial=a\0b\n") - 1, file),
                          sizeof(GOOD "Serial=a\0b\n") - 1);
        fclose(file);
        ck_assert_int_eq(load(&config), -EINVAL);
        ck_assert_str_eq(scratch.lines, "./a.conf:5: contains a NUL byte\n");
}
END_TEST

START_TEST(drop_ins)
{
        struct config config;

        ck_assert_int_eq(mkdir("a.conf.d", 0700), 0);
        scratch_file("a.conf", GOOD "Queues=2\nSerial=one\n");
        scratch_file("a.conf.d/20-b.conf", "[Block]\nQueues=8\n");
        scratch_file("a.conf.d/10-a.conf", "[Block]\nQueues=4\nSerial=two\n");
        scratch_file("a.conf.d/.hidden.conf", "nonsense\n");
        scratch_file("a.conf.d/README", "nonsense\n");
        ck_assert_int_eq(load(&config), 0);
        ck_assert_uint_eq(config.device[0].block.queues, 8);
        ck_assert_str_eq(config.device[0].block.serial, "two");
        config_done(&config);

        scratch_file("a.conf.d/30-c.conf", "[Block]\nQueues=8\nQueues=9\n");
        scratch_file("a.conf", "[Device]\nType=block\nnonsense\n[Block]\nPath=/d\n");
        ck_assert_int_eq(load(&config), -EINVAL);
        ck_assert_str_eq(scratch.lines, "./a.conf:3: neither [SECTION] nor KEY=VALUE\n"
                                        "./a.conf.d/30-c.conf:3: Queues=9: Queues= was already set by "
                                        "./a.conf.d/30-c.conf:2\n");
}
END_TEST

/* Whoever made them, they are shown without what a terminal would obey, also in what is said of a later file. */
START_TEST(names_of_drop_ins)
{
        struct config config;

        ck_assert_int_eq(mkdir("a.conf.d", 0700), 0);
        scratch_file("a.conf", GOOD);
        scratch_file("a.conf.d/1\x1b]0;x\a.conf", "nonsense\n[Block]\nQueues=8\n");
        scratch_file("a.conf.d/2\x7f.conf", "[Block]\nQueues=x\n");
        ck_assert_int_eq(symlink("nowhere", "a.conf.d/3\t.conf"), 0);
        ck_assert_int_lt(load(&config), 0);
        ck_assert_str_eq(scratch.lines, "./a.conf.d/1?]0;x?.conf:1: neither [SECTION] nor KEY=VALUE\n"
                                        "./a.conf.d/2?.conf:2: Queues=x: must be a number from 1 to 64\n"
                                        "./a.conf.d/3?.conf:1: ENOENT\n");

        scratch_quiet(&scratch);
        scratch_file("a.conf.d/1\x1b]0;x\a.conf", "[Device]\nSocket=/run/v/b.sock\n");
        scratch_file("a.conf.d/2\x7f.conf", "[Block]\nQueues=4\n");
        ck_assert_int_eq(unlink("a.conf.d/3\t.conf"), 0);
        scratch_file("b.conf", "[Device]\nType=rng\n");
        ck_assert_int_eq(load(&config), -EINVAL);
        ck_assert_str_eq(scratch.lines, "./b.conf:2: Socket= is also that of ./a.conf.d/1?]0;x?.conf:2\n");
}
END_TEST

START_TEST(all_files_are_told)
{
        struct config config;

        scratch_file("a.conf", GOOD "Queues=0\n");
        scratch_file("b.conf", "[Device]\nType=rng\n");
        scratch_file("c.conf", GOOD "Queues=x\n");
        ck_assert_int_eq(load(&config), -EINVAL);
        ck_assert_str_eq(scratch.lines, "./a.conf:5: Queues=0: must be a number from 1 to 64\n"
                                        "./c.conf:5: Queues=x: must be a number from 1 to 64\n");
}
END_TEST

START_TEST(odd_files)
{
        struct config config;

        ck_assert_int_eq(load(&config), -ENOENT);
        ck_assert_str_eq(scratch.lines, ".: no device is configured: there is no NAME.conf\n");

        scratch_quiet(&scratch);
        ck_assert_int_eq(mkfifo("f.conf", 0600), 0);
        ck_assert_int_eq(mkdir("g.conf", 0700), 0);
        ck_assert_int_eq(symlink("nowhere", "h.conf"), 0);
        scratch_file("o dd.conf", GOOD);
        ck_assert_int_lt(load(&config), 0);
        ck_assert_str_eq(scratch.lines, "./f.conf:1: not a regular file\n"
                                        "./g.conf:1: not a regular file\n"
                                        "./h.conf:1: ENOENT\n"
                                        "./o dd.conf:1: the name of a device is up to 64 letters, digits, '_', '.', "
                                        "'-'\n");

        scratch_quiet(&scratch);
        ck_assert_int_eq(unlink("o dd.conf"), 0);
        scratch_file("\x1b[2J\n.conf", GOOD);
        ck_assert_int_lt(config_load_sound(".", "/run/v", &scratch.log, &config), 0);
        ck_assert_ptr_nonnull(strstr(scratch.lines, "./?[2J?.conf:1: the name of a device is up to 64 letters, "));

        scratch_quiet(&scratch);
        ck_assert_int_eq(config_load("none", NULL, "/run/v", &scratch.log, &config), -ENOENT);
        ck_assert_str_eq(scratch.lines, "none: ENOENT\n");
}
END_TEST

START_TEST(only_one)
{
        struct config config;

        scratch_file("a.conf", GOOD);
        scratch_file("b.conf", "nonsense");
        ck_assert_int_eq(config_load(".", "a", "/run/v", &scratch.log, &config), 0);
        ck_assert_uint_eq(config.n, 1);
        config_done(&config);
        ck_assert_int_eq(config_load(".", "c", "/run/v", &scratch.log, &config), -ENOENT);
        ck_assert_str_eq(scratch.lines, "./c.conf:1: ENOENT\n");
}
END_TEST

START_TEST(shared)
{
        struct config config;

        scratch_file("a.conf", GOOD "[Device]\nSocket=/run/v/b.sock\n");
        scratch_file("b.conf", GOOD);
        ck_assert_int_eq(load(&config), -EINVAL);
        ck_assert_str_eq(scratch.lines, "./b.conf:2: Socket= is also that of ./a.conf:6\n"
                                        "./b.conf:4: Path= is also that of ./a.conf:4 (Locking=off would allow it)\n");

        scratch_file("a.conf", GOOD);
        scratch_file("b.conf", GOOD "Locking=off\n");
        ck_assert_int_eq(load(&config), 0);
        config_done(&config);

        scratch_file("a.conf", GOOD "ReadOnly=yes\n");
        scratch_file("b.conf", GOOD "ReadOnly=yes\n");
        ck_assert_int_eq(load(&config), 0);
        config_done(&config);
}
END_TEST

START_TEST(connect_instead_of_socket)
{
        struct config config;

        scratch_file("a.conf", GOOD "[Device]\nConnect=/run/vm.sock\n");
        ck_assert_int_eq(load(&config), 0);
        ck_assert_str_eq(config.device[0].connect, "/run/vm.sock");
        ck_assert_ptr_null(config.device[0].socket);
        config_done(&config);

        scratch_file("a.conf", GOOD "[Device]\nConnect=/run/vm.sock\nSocket=/run/a.sock\n");
        ck_assert_int_eq(load(&config), -EINVAL);
        ck_assert_str_eq(scratch.lines, "./a.conf:6: Connect= and Socket= exclude each other\n");

        scratch_quiet(&scratch);
        scratch_file("a.conf", GOOD "[Device]\nConnect=/run/vm.sock\n");
        scratch_file("b.conf", "[Device]\nType=rng\nConnect=/run/vm.sock\n");
        scratch_file("c.conf", "[Device]\nType=rng\n"); /* has no Connect= to compare */
        ck_assert_int_eq(load(&config), -EINVAL);
        ck_assert_str_eq(scratch.lines, "./b.conf:3: Connect= is also that of ./a.conf:6\n");
}
END_TEST

START_TEST(names)
{
        char name[CONFIG_NAME_MAX + 2];

        ck_assert(config_name_ok("vm1-disk_0.a"));
        ck_assert(!config_name_ok(""));
        ck_assert(!config_name_ok(".a"));
        ck_assert(!config_name_ok("-a"));
        ck_assert(!config_name_ok("a/b"));
        ck_assert(!config_name_ok("a:b"));
        ck_assert(!config_name_ok("a\nb"));
        memset(name, 'a', sizeof(name));
        name[CONFIG_NAME_MAX + 1] = 0;
        ck_assert(!config_name_ok(name));
        name[CONFIG_NAME_MAX] = 0;
        ck_assert(config_name_ok(name));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("config");
        TCase *files = tcase_create("files");
        SRunner *runner;
        int failed;

        tcase_add_checked_fixture(files, enter, leave);
        tcase_add_test(files, defaults);
        tcase_add_test(files, every_key);
        tcase_add_test(files, limits);
        tcase_add_test(files, null_engine_and_rng);
        tcase_add_loop_test(files, mistake, 0, (int) ARRAY_SIZE(mistakes));
        tcase_add_test(files, long_lines);
        tcase_add_test(files, nul_byte);
        tcase_add_test(files, drop_ins);
        tcase_add_test(files, names_of_drop_ins);
        tcase_add_test(files, all_files_are_told);
        tcase_add_test(files, odd_files);
        tcase_add_test(files, only_one);
        tcase_add_test(files, shared);
        tcase_add_test(files, connect_instead_of_socket);
        tcase_add_test(files, names);
        suite_add_tcase(suite, files);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
