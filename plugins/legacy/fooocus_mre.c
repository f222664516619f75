/* SPDX-License-Identifier: MIT */
/*
 * fooocus_mre.c - Fooocus MoonRide Edition: JSON in a comment.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static const legacy_text *find_settings(legacy_input *in)
{
    for (size_t i = legacy_count(in); i-- > 0;) {
        const legacy_text *text = legacy_at(in, i);
        bool place = strcmp(text->keyword, "Comment") == 0 || strcmp(text->keyword, "UserComment") == 0 ||
                     strcmp(text->kind, "jpeg:com") == 0;
        if (place && legacy_looks_json(text) && legacy_contains(text, "\"base_model\"") &&
            (legacy_contains(text, "MoonRide") || legacy_contains(text, "\"real_prompt\"")))
            return text;
    }
    return NULL;
}

static bool identify(legacy_input *in)
{
    return find_settings(in) != NULL;
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {
        {"cfg", "cfg_scale"}, {"base_model", "model_name"}, {"software", NULL}, {NULL, NULL}};
    const legacy_text *text = find_settings(in);
    const legacy_json *root = legacy_parse(in, text->text, text->size);
    if (!root)
        return false;
    legacy_set_tool(out, legacy_member_value(in, root, "software"), NULL);
    legacy_set_members(out, root, map);
    legacy_set_member(out, "prompt", root, "real_prompt");
    legacy_set_member(out, "negative_prompt", root, "real_negative_prompt");
    return true;
}

const legacy_driver legacy_fooocus_mre = {
    .name = "fooocus-mre",
    .title = "Fooocus MoonRide Edition",
    .home = "https://github.com/MoonRide303/Fooocus-MRE",
    .reads = "PNG Comment, JPEG comment (JSON)",
    .identify = identify,
    .import = import,
};
