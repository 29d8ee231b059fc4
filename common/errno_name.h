/*
 * Names of errors, for lines that an operator reads.
 */
#pragma once

/* "EINVAL" of EINVAL, a constant; NULL: no such error. */
const char *errno_name(int error);
