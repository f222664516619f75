/* SPDX-License-Identifier: MIT */
/*
 * a1111.c - AUTOMATIC1111's web UI, and whatever writes its "parameters" text and isn't known by a driver of its own.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static bool identify(legacy_input *in)
{
    return legacy_find_parameters(in) || legacy_find(in, "png:", "postprocessing");
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = legacy_find_parameters(in);
    if (!text)
        return true;
    legacy_set_tool(out, "AUTOMATIC1111", legacy_parameter(in, text->text, text->size, "Version"));
    return legacy_import_parameters(in, out, text->text, text->size);
}

const legacy_driver legacy_a1111 = {
    .name = "a1111",
    .title = "Stable Diffusion web UI (AUTOMATIC1111)",
    .home = "https://github.com/AUTOMATIC1111/stable-diffusion-webui",
    .reads = "PNG parameters, postprocessing; UserComment; JPEG comment; NAME.txt",
    .identify = identify,
    .import = import,
};
