/*
 * A real worker with a device of the tests' own, which keeps each request until its guest byte, the gate, is set.
 */
#pragma once

/* For rig_init_own(). */
_Noreturn void holder_run(void);
