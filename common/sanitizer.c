/*
 * How our programs behave in builds with sanitizers, which are for tests only: an environment never reaches a confined
 * child, so the options are compiled in. Reports go to files, for a child has no standard error; tests look for them.
 */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__tsan_default_options(void);

#define REPORTS "log_path=" VB_REPORTS

/* Leaks cannot be looked for in a process that nobody may trace. SIGBUS means that a front-end truncates its memory. */
const char *__asan_default_options(void)
{
        return "detect_leaks=0:abort_on_error=1:handle_segv=1:handle_sigbus=0:" REPORTS;
}

const char *__ubsan_default_options(void)
{
        return "halt_on_error=1:print_stacktrace=1:" REPORTS;
}

/* Of what the guest, another process, does to shared memory it sees nothing. */
const char *__tsan_default_options(void)
{
        return "halt_on_error=1:abort_on_error=1:handle_segv=1:handle_sigbus=0:atexit_sleep_ms=0:" REPORTS;
}
