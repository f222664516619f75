/* SPDX-License-Identifier: MIT */
/*
 * krita_ai.c - Krita's AI Diffusion plugin: A1111's text; it never knows its model's hash, and says so.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static bool identify(legacy_input *in)
{
    const legacy_text *text = legacy_find_parameters(in);
    const char *hash = text ? legacy_parameter(in, text->text, text->size, "Model hash") : NULL;
    return hash && strcmp(hash, "unknown") == 0 && !legacy_parameter(in, text->text, text->size, "Version");
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = legacy_find_parameters(in);
    if (!text)
        return false;
    legacy_set_tool(out, "Krita AI Diffusion", NULL);
    return legacy_import_parameters(in, out, text->text, text->size);
}

const legacy_driver legacy_krita_ai = {
    .name = "krita-ai",
    .title = "Krita AI Diffusion",
    .home = "https://github.com/Acly/krita-ai-diffusion",
    .reads = "as a1111",
    .identify = identify,
    .import = import,
};
