/*
 * The one clock of the session.
 */
#pragma once

#include "clock_now.h"

#define MS_NS 1000000LL
