/*
 * Weaker programs for the mutation test of inspect: the real sources, with one measure taken away by functions that the
 * linker puts in place of others (--wrap). The product has no such switch.
 */
#pragma once

#include <stdbool.h>

/* Is this the measure to take away? In a broker the environment says it, in its children argv[0], "MEASURE:PROGRAM". */
bool weakened(const char *measure);
