/*
 * The namespaces in which every stage begins: the range namespace, in which the broker's uid is all-powerful over a
 * range of host ids, and below it a mount namespace with an empty root. A process of its own makes them; they live by
 * the descriptors that are opened of them. design: "Confinement".
 */
#pragma once

#include "fd.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct range_want {
        uid_t uid; /* the broker's, which is to own the namespace */
        gid_t gid;
        uint32_t first, count; /* host ids */
        bool privileged;       /* the caller may choose ids; else it maps its own alone */
};

struct range_maker {
        pid_t pid; /* 0: none */
        struct fd said, go;
};

/* Starts the process, which makes the user namespace. -errno; range_end() in either case. */
int range_begin(const struct range_want *want, struct range_maker *ret_maker);

/* Gives the namespace its ids, which who is not privileged has done already. Needs SETUID and SETGID. -errno. */
int range_map(const struct range_want *want, const struct range_maker *maker);

/* Has the empty root made; to be called once the ids are given. Programs with a sanitizer keep the host's. -errno. */
int range_make_root(struct range_maker *maker);

/* Opens both; *ret_root is FD_NONE where none was made. -errno. */
int range_open(const struct range_maker *maker, struct fd *ret_range, struct fd *ret_root);

/* Ends the process and reaps it. */
void range_end(struct range_maker *maker);
