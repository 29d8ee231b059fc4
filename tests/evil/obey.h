/*
 * The body of a program that was taken over: does what it is told.
 */
#pragma once

#include "command.h"

struct io_uring;

/* Does it, as often as the command says. `ring` is NULL where there is none. */
void evil_obey(const struct evil_command *command, struct io_uring *ring, struct evil_answer *ret_answer);
