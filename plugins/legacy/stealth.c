/* SPDX-License-Identifier: MIT */
/*
 * stealth.c - text that is hidden in the lowest bits of a PNG's pixels.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "legacy.h"

void legacy_stealth_read(legacy_input *in)
{
    (void)in;
}
