/*
 * The command line: what is taken, and the one line that each mistake gets.
 */
#include "array.h"
#include "capabilities.h"
#include "options.h"
#include "scratch.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

/* Splits at spaces, in place. */
static int parse(char *line, bool listen_fds, struct options *ret_options)
{
        char *argv[32], *rest = NULL;
        int argc = 0;

        for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
                argv[argc++] = word;
        argv[argc] = NULL;
        return options_parse(argc, argv, listen_fds, &scratch.log, ret_options);
}

static int parse_text(const char *text, struct options *ret_options)
{
        static char line[512]; /* options borrow from it */

        snprintf(line, sizeof(line), "%s", text);
        return parse(line, false, ret_options);
}

START_TEST(stand_alone)
{
        struct options o;

        ck_assert_int_eq(parse_text("/usr/bin/vhost-broker --type=block --socket-path ./s --blk-file=disk.img "
                                    "--read-only --set BLOCK.queues=2 --set worker.threads=3 --log-level=debug "
                                    "--user=4711 --uid-range=100000:100 --run-dir=/r",
                                    &o),
                         0);
        ck_assert_str_eq(scratch.lines, "");
        ck_assert_int_eq(o.action, OPTIONS_RUN);
        ck_assert(o.alone);
        ck_assert_ptr_null(o.config_dir);
        ck_assert_str_eq(o.standing.name, "block");
        ck_assert_str_eq(o.standing.socket, "./s");
        ck_assert_str_eq(o.standing.block.path, "disk.img");
        ck_assert(o.standing.block.read_only);
        ck_assert_uint_eq(o.standing.block.queues, 2);
        ck_assert_uint_eq(o.standing.worker.threads, 3);
        ck_assert_int_eq(o.fd, -1);
        ck_assert_int_eq(o.log_level, LOG_LEVEL_DEBUG);
        ck_assert(o.has_user && o.uid == 4711 && o.gid == 4711);
        ck_assert_uint_eq(o.uid_base, 100000);
        ck_assert_uint_eq(o.uid_count, 100);
        ck_assert_str_eq(o.run_dir, "/r");
        options_done(&o);
}
END_TEST

START_TEST(defaults)
{
        struct options o;

        ck_assert_int_eq(parse_text("b --config /etc/v --device=vm1", &o), 0);
        ck_assert(!o.alone);
        ck_assert_str_eq(o.config_dir, "/etc/v");
        ck_assert_str_eq(o.device, "vm1");
        ck_assert_uint_eq(o.uid_base, 1879048192);
        ck_assert_uint_eq(o.uid_count, 65536);
        ck_assert_str_eq(o.run_dir, "/run/vhost-broker");
        ck_assert_int_eq(o.log_level, LOG_LEVEL_INFO);
        options_done(&o);
}
END_TEST

START_TEST(program_names)
{
        struct options o;

        ck_assert_int_eq(parse_text("/usr/bin/vhost-user-rng --socket-path=/s", &o), 0);
        ck_assert_str_eq(o.type, "rng");
        options_done(&o);
        ck_assert_int_eq(parse_text("vhost-user-rng --type=rng --socket-path=/s", &o), 0);
        options_done(&o);
        ck_assert_int_eq(parse_text("vhost-user-rng --type=block --blk-file=x --socket-path=/s", &o), -EINVAL);
        ck_assert_str_eq(scratch.lines, "vhost-user-rng: this program's name says another type than --type\n");
}
END_TEST

START_TEST(descriptor)
{
        int pair[2];
        char text[64];
        struct options o;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        snprintf(text, sizeof(text), "b --type=rng --fd=%d", pair[0]);
        ck_assert_int_eq(parse_text(text, &o), 0);
        ck_assert_int_eq(o.fd, pair[0]);
        ck_assert_ptr_null(o.standing.socket);
        options_done(&o);

        snprintf(text, sizeof(text), "b --type=rng --set device.connect=/s --fd=%d", pair[0]);
        ck_assert_int_eq(parse_text(text, &o), -EINVAL);
        ck_assert_str_eq(scratch.lines, "device.connect and --fd exclude each other\n");
        scratch_quiet(&scratch);
        snprintf(text, sizeof(text), "b --type=rng --socket-path=/s --fd=%d", pair[0]);
        ck_assert_int_eq(parse_text(text, &o), -EINVAL);
        close(pair[0]);
        close(pair[1]);
        snprintf(text, sizeof(text), "b --type=rng --fd=%d", pair[0]);
        ck_assert_int_eq(parse_text(text, &o), -EINVAL);
        ck_assert_ptr_nonnull(strstr(scratch.lines, "--socket-path and --fd exclude each other\n--fd="));
        ck_assert_ptr_nonnull(strstr(scratch.lines, ": is not an open socket\n"));
}
END_TEST

START_TEST(connects)
{
        struct options o;

        ck_assert_int_eq(parse_text("b --type=rng --set device.connect=vm.sock", &o), 0);
        ck_assert_str_eq(o.standing.connect, "vm.sock");
        ck_assert_ptr_null(o.standing.socket);
        options_done(&o);
}
END_TEST

START_TEST(sockets_from_systemd)
{
        char line[] = "b --type=rng";
        struct options o;

        ck_assert_int_eq(parse(line, true, &o), 0);
        ck_assert(o.alone && o.fd == -1 && !o.standing.socket);
        options_done(&o);
}
END_TEST

START_TEST(capabilities)
{
        static const struct {
                const char *text, *json;
        } asked[] = {
                {"vhost-user-block --print-capabilities",
                 "{\"type\":\"block\",\"features\":[\"read-only\",\"blk-file\"]}\n"                       },
                { "vhost-broker --print-capabilities",
                 "{\"type\":\"block\",\"features\":[\"read-only\",\"blk-file\"]}\n"                       },
                { "vhost-broker --nonsense --type=rng --print-capabilities --fd=x", "{\"type\":\"rng\"}\n"},
                { "vhost-user-rng --print-capabilities",                            "{\"type\":\"rng\"}\n"},
        };
        struct options o;

        for (unsigned i = 0; i < ARRAY_SIZE(asked); i++) {
                char *json = NULL;
                size_t size;
                FILE *out = open_memstream(&json, &size);

                ck_assert_int_eq(parse_text(asked[i].text, &o), 0);
                ck_assert_int_eq(o.action, OPTIONS_PRINT_CAPABILITIES);
                ck_assert_int_eq(capabilities_print(out, o.type), 0);
                fclose(out);
                ck_assert_str_eq(json, asked[i].json);
                free(json);
                options_done(&o);
        }
        ck_assert_str_eq(scratch.lines, "");
        ck_assert_int_eq(parse_text("b --print-capabilities --type=x", &o), -EINVAL);
}
END_TEST

START_TEST(capabilities_unwritable)
{
        FILE *full = fopen("/dev/full", "we");

        ck_assert_ptr_nonnull(full);
        ck_assert_int_eq(capabilities_print(full, "block"), -EIO);
        fclose(full);
}
END_TEST

START_TEST(actions)
{
        static const struct {
                const char *text;
                enum options_action action;
        } asked[] = {
                {"b --help",                      OPTIONS_HELP        },
                { "b --version",                  OPTIONS_VERSION     },
                { "b --print-policy",             OPTIONS_PRINT_POLICY},
                { "b --print-policy=block",       OPTIONS_PRINT_POLICY},
                { "b --config=/x --check-config", OPTIONS_CHECK_CONFIG},
        };
        struct options o;

        for (unsigned i = 0; i < ARRAY_SIZE(asked); i++) {
                ck_assert_int_eq(parse_text(asked[i].text, &o), 0);
                ck_assert_int_eq(o.action, asked[i].action);
                options_done(&o);
        }
        ck_assert_int_eq(parse_text("b --print-policy=block", &o), 0);
        ck_assert_str_eq(o.policy_device, "block");
        options_done(&o);
}
END_TEST

static const struct {
        const char *text, *line;
} mistakes[] = {
        {"b",                                           "--config=DIR or --type=TYPE is needed (see --help)\n"                         },
        { "b --nonsense",                               "--nonsense: there is no such option, or it takes no value (see --help)\n"     },
        { "b -x",                                       "-x: there is no such option, or it takes no value (see --help)\n"             },
        { "b --read-only=yes",                          "--read-only=yes: there is no such option, or it takes no value (see --help)\n"},
        { "b --type",                                   "--type: needs a value\n"                                                      },
        { "b disk.img",                                 "disk.img: only options are understood (see --help)\n"                         },
        { "b --type=blk",                               "--type=blk: there is no such type of device\n"                                },
        { "b --type=rng",                               "--socket-path=PATH or --fd=N is needed\n"                                     },
        { "b --type=rng --socket-path=/s --set device.connect=/t",
                                                        "--set device.connect=/t: Connect= and Socket= exclude each other\n"          },
        { "b --type=block --socket-path=/s",            "--blk-file=FILE is needed\n"                                                  },
        { "b --type=rng --socket-path=/s --blk-file=x", "--blk-file=x: Path= has no meaning for Type=rng\n"                            },
        { "b --config=/x --type=rng",                   "--config and --type exclude each other\n"                                     },
        { "b --set worker.threads=1 --config=/x",       "--config and --set exclude each other\n"                                      },
        { "b --config=/x --fd=0x",                      "--fd=0x: must be a number from 0 to 2147483647\n"                             },
        { "b --type=rng --device=a --socket-path=/s",   "--device needs --config=DIR\n"                                                },
        { "b --config=/x --device=a/b",                 "--device=a/b: is not the name of a device\n"                                  },
        { "b --type=block --type=block",                "--type=block: Type= was already set by --type=block\n"                        },
        { "b --blk-file=x --set block.path=y",          "--set block.path=y: Path= was already set by --blk-file=x\n"                  },
        { "b --set block.queues=999",                   "--set block.queues=999: must be a number from 1 to 64\n"                      },
        { "b --set blok.queues=9",                      "--set blok.queues=9: there is no section [blok]\n"                            },
        { "b --set blo\033k.queues=9",                  "--set blo?k.queues=9: there is no section [blo?k]\n"                          },
        { "b --set block.queue=9",                      "--set block.queue=9: there is no such key in [block]\n"                       },
        { "b --set queues=9",                           "--set queues=9: must be SECTION.KEY=VALUE\n"                                  },
        { "b --set block.queues",                       "--set block.queues: must be SECTION.KEY=VALUE\n"                              },
        { "b --set device.allowuser=",                  "--set device.allowuser=: needs a value\n"                                     },
        { "b --user=no-such-user",                      "--user=no-such-user: there is no such user\n"                                 },
        { "b --user=root",                              "--user=root: must not be root\n"                                              },
        { "b --user=0",                                 "--user=0: there is no such user\n"                                            },
        { "b --uid-range=1000",                         "--uid-range=1000: must be a number from 65536 to 4294967294\n"                },
        { "b --uid-range=",                             "--uid-range=: must be a number from 65536 to 4294967294\n"                    },
        { "b --uid-range=100000:1",                     "--uid-range=100000:1: must be a number from 2 to 16777216\n"                  },
        { "b --uid-range=100000:",                      "--uid-range=100000:: must be a number from 2 to 16777216\n"                   },
        { "b --uid-range=4294967290:6",                 "--uid-range=4294967290:6: reaches beyond the last id\n"                       },
        { "b --run-dir=here",                           "--run-dir=here: must be an absolute path\n"                                   },
        { "b --log-level=loud",                         "--log-level=loud: must be one of: error, warning, notice, info, debug\n"      },
};

START_TEST(mistake)
{
        struct options o;

        ck_assert_int_eq(parse_text(mistakes[_i].text, &o) < 0, 1);
        ck_assert_str_eq(scratch.lines, mistakes[_i].line);
}
END_TEST

START_TEST(last_id)
{
        struct options o;

        ck_assert_int_eq(parse_text("b --config=/x --uid-range=4294967290:5", &o), 0);
        options_done(&o);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("options");
        TCase *all = tcase_create("all");
        SRunner *runner;
        int failed;

        tcase_add_checked_fixture(all, enter, leave);
        tcase_add_test(all, stand_alone);
        tcase_add_test(all, defaults);
        tcase_add_test(all, program_names);
        tcase_add_test(all, descriptor);
        tcase_add_test(all, connects);
        tcase_add_test(all, sockets_from_systemd);
        tcase_add_test(all, capabilities);
        tcase_add_test(all, capabilities_unwritable);
        tcase_add_test(all, actions);
        tcase_add_loop_test(all, mistake, 0, (int) ARRAY_SIZE(mistakes));
        tcase_add_test(all, last_id);
        suite_add_tcase(suite, all);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
