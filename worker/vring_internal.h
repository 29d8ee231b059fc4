/*
 * Shared by vring.c and vring_config.c only.
 */
#pragma once

#include "vring.h"

/* The one function that writes `state`. */
void vring_turn(struct vring *vr, enum vring_event event);

/* The vring waits until this iova is known; the session is asked. */
void vring_stall(struct vring *vr, uint64_t iova, uint32_t access);

/* Stops a vring whose guest broke the rules: one log line, err fired, the session told. */
void vring_break(struct vring *vr, int error, const struct chain_fault *fault);
