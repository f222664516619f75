/* SPDX-License-Identifier: MIT */
/*
 * a1111_sdnext.c - SD.Next: A1111's text with an App of its own.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static bool identify(legacy_input *in)
{
    const legacy_text *text = legacy_find_parameters(in);
    const char *app = text ? legacy_parameter(in, text->text, text->size, "App") : NULL;
    return app && (strncmp(app, "SD.Next", 7) == 0 || strncmp(app, "SDNext", 6) == 0);
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = legacy_find_parameters(in);
    if (!text)
        return false;
    legacy_set_tool(out, "SD.Next", legacy_parameter(in, text->text, text->size, "Version"));
    return legacy_import_parameters(in, out, text->text, text->size);
}

const legacy_driver legacy_a1111_sdnext = {
    .name = "a1111-sdnext",
    .title = "SD.Next",
    .home = "https://github.com/vladmandic/sdnext",
    .reads = "as a1111",
    .identify = identify,
    .import = import,
};
