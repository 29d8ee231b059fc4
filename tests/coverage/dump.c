/*
 * What a build that counts lines adds to session and worker: their own _exit() writes no counters.
 */
#include <unistd.h>

void __gcov_dump(void);
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

void __wrap__exit(int status)
{
        __gcov_dump();
        __real__exit(status);
}
