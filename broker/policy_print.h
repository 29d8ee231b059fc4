/*
 * --print-policy: what each program may call, for whoever audits.
 */
#pragma once

#include "ipc.h"
#include "policy.h"

#include <stdio.h>

/*
 * Prints the profiles: all of them (`type` NULL), or those of the session and of a worker for one type of device, with
 * that engine or with any that it may choose (IPC_ENGINE_AUTO). -EIO.
 */
int policy_print(FILE *out, const struct policy_device *type, enum ipc_engine engine, bool postcopy);
