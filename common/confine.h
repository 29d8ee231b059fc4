/*
 * The last stage of confinement, which a program does to itself after exec: the broker has already given it
 * namespaces, an empty root, an own uid, no capabilities, no_new_privs and limits (broker/child.c).
 * Each function must be complete or fail; none logs.
 */
#pragma once

#include <linux/filter.h>

/* Must make the process unreadable to others of its uid: not dumpable. Must find no_new_privs set: -EPERM else. */
int confine_self(void);

/* Must deny, for good, memory that is both writable and executable. -ENOSYS: the kernel has no such switch. */
int confine_mdwe(void);

/*
 * Must take every right over files, TCP ports, abstract sockets and foreign processes that this kernel's landlock
 * can take. -ENOSYS: the kernel has none, or hides it.
 */
int confine_landlock(void);

/* Must put all threads of the process under a system call filter. -errno; -EBUSY: a thread could not be reached. */
int confine_filter(const struct sock_filter *code, unsigned short n);
