/*
 * The session's own last stages of confinement, in the order in which they are taken.
 */
#pragma once

#include "session.h"

/*
 * Must leave the process with its run filter on and nothing missing that may_lack (enum ipc_layer) does not name; must
 * come before the first byte of the front-end. 0, and the layers that this kernel lacks; else the stage that failed
 * (enum session_end), with its -errno in *ret_error.
 */
int sandbox_enter(uint32_t may_lack, uint32_t *ret_lacks, int *ret_error);
