/*
 * Words for the numbers of control packets and statistics.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Each returns a constant; "?" for a number that has no word. */
const char *name_of_state(uint32_t state);   /* enum control_state */
const char *name_of_engine(uint32_t engine); /* enum ipc_engine */
const char *name_of_type(uint32_t device);   /* virtio device id */

/* Of a bit 0..63 of a device's features, as in the standard; NULL: none that a device of ours has. */
const char *name_of_feature(uint32_t device, unsigned bit);

enum { LAYERS = 4 };

/* The word of MayLack= for the layer of bit 0..LAYERS-1. */
const char *name_of_layer(unsigned bit);

/* Those of a set, separated by commas; "" for none. */
void names_of_layers(uint32_t layers, char *ret_text, size_t size);
