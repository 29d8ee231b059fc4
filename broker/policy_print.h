/*
 * --print-policy: what each program may call, for whoever audits.
 */
#pragma once

#include <stdio.h>

/* Prints all profiles, or those that apply to one type of device (NULL: all). -EINVAL: no such type; -EIO. */
int policy_print(FILE *out, const char *type);
