/* SPDX-License-Identifier: MIT */
/*
 * stealth.c - A1111's text in the lowest bits of the pixels, by the stealth extensions.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static const legacy_text *find_hidden(legacy_input *in)
{
    for (size_t i = legacy_count(in); i-- > 0;)
        if (strcmp(legacy_at(in, i)->kind, "stealth") == 0)
            return legacy_at(in, i);
    return NULL;
}

static bool identify(legacy_input *in)
{
    const legacy_text *text = find_hidden(in);
    return text && text->size;
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = find_hidden(in);
    legacy_set_string(out, "magic", text->keyword);
    if (!legacy_looks_json(text))
        return legacy_import_parameters(in, out, text->text, text->size);
    const legacy_json *root = legacy_parse(in, text->text, text->size);
    legacy_set_rest(out, root, NULL);
    return root != NULL;
}

const legacy_driver legacy_stealth = {
    .name = "stealth",
    .title = "Stealth PNG info",
    .home = "https://github.com/ashen-sensored/sd_webui_stealth_pnginfo",
    .reads = "PNG lowest bits of alpha or RGB",
    .identify = identify,
    .import = import,
};
