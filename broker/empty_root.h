/*
 * The root of all confined children: an empty, read-only directory, made once, in a mount namespace of its own. Each
 * child gets a copy of that namespace. security: G16.
 */
#pragma once

/*
 * Makes a mount namespace that holds an empty directory and nothing else, and moves the calling process there. It must
 * be all-powerful over its user namespace, which owns the new one, and must not need any file any more. -errno.
 */
int empty_root_make(void);
