/* SPDX-License-Identifier: MIT */
/*
 * ruined_fooocus.c - RuinedFooocus: JSON that names its software.
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
        bool place = strcmp(text->keyword, "parameters") == 0 || strcmp(text->keyword, "UserComment") == 0;
        if (place && legacy_looks_json(text) && legacy_contains(text, "\"RuinedFooocus"))
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
    static const legacy_map map[] = {{"Prompt", "prompt"},
                                     {"Negative", "negative_prompt"},
                                     {"sampler_name", "sampler"},
                                     {"cfg", "cfg_scale"},
                                     {"base_model_name", "model_name"},
                                     {"base_model_hash", "model_hash"},
                                     {"software", NULL},
                                     {NULL, NULL}};
    const legacy_text *text = find_settings(in);
    const legacy_json *root = legacy_parse(in, text->text, text->size);
    if (!root)
        return false;
    legacy_set_tool(out, legacy_member_value(in, root, "software"), legacy_member_value(in, root, "version"));
    legacy_set_members(out, root, map);
    return true;
}

const legacy_driver legacy_ruined_fooocus = {
    .name = "ruined-fooocus",
    .title = "RuinedFooocus",
    .home = "https://github.com/runew0lf/RuinedFooocus",
    .reads = "PNG parameters (JSON)",
    .identify = identify,
    .import = import,
};
