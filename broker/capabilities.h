/*
 * --print-capabilities: what management software asks a back-end program before it uses it.
 */
#pragma once

#include <stdio.h>

/* Writes one JSON object and a newline (vhost-user, "Backend program conventions"). `type` is a known one. -EIO. */
int capabilities_print(FILE *out, const char *type);
