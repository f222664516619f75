/* SPDX-License-Identifier: MIT */
/*
 * table.c - the drivers, in order of priority: the first one that recognises a file has it.  A tool that writes several
 * dialects at once, or whose files another driver would take for its own, stands before that.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

/* A line for each. */
#define DRIVERS(DRIVER) DRIVER(a1111)

#define DECLARE(driver) extern const legacy_driver legacy_##driver;
#define LIST(driver) &legacy_##driver,

DRIVERS(DECLARE)

const legacy_driver *const legacy_drivers[] = {DRIVERS(LIST) NULL};
