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
#define DRIVERS(DRIVER)                                                                                                \
    DRIVER(swarmui)                                                                                                    \
    DRIVER(novelai)                                                                                                    \
    DRIVER(stealth)                                                                                                    \
    DRIVER(invokeai_v3)                                                                                                \
    DRIVER(nmkd)                                                                                                       \
    DRIVER(invokeai_sdmetadata)                                                                                        \
    DRIVER(invokeai_dream)                                                                                             \
    DRIVER(fooocus)                                                                                                    \
    DRIVER(fooocus_mre)                                                                                                \
    DRIVER(ruined_fooocus)                                                                                             \
    DRIVER(stability_matrix)                                                                                           \
    DRIVER(tensorart)                                                                                                  \
    DRIVER(civitai)                                                                                                    \
    DRIVER(hf_space)                                                                                                   \
    DRIVER(easydiffusion)                                                                                              \
    DRIVER(sygil)                                                                                                      \
    DRIVER(drawthings)                                                                                                 \
    DRIVER(mochi)                                                                                                      \
    DRIVER(midjourney)                                                                                                 \
    DRIVER(comfyui_a1111)                                                                                              \
    DRIVER(comfyui)                                                                                                    \
    DRIVER(a1111_forge)                                                                                                \
    DRIVER(a1111_sdnext)                                                                                               \
    DRIVER(krita_ai)                                                                                                   \
    DRIVER(a1111)                                                                                                      \
    DRIVER(c2pa)                                                                                                       \
    DRIVER(disco_diffusion)                                                                                            \
    DRIVER(pytti)                                                                                                      \
    DRIVER(dalle_filename)                                                                                             \
    DRIVER(stability_filename)                                                                                         \
    DRIVER(filename_other)

#define DECLARE(driver) extern const legacy_driver legacy_##driver;
#define LIST(driver) &legacy_##driver,

DRIVERS(DECLARE)

const legacy_driver *const legacy_drivers[] = {DRIVERS(LIST) NULL};
